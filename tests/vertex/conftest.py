"""Vertex AI on loopback, a compiled package, and an engine that does not wait long."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vertex.vertex_server import VertexServer

from pipelines.backends.remote import Submission
from pipelines.backends.vertex.backend_client import VertexClient
from pipelines.backends.vertex.connection import VertexRetryPolicy
from pipelines.backends.vertex.vertex_settings import VertexSettings

ROOT = Path(__file__).parents[2]
QUICK = VertexRetryPolicy(request_s=2, attempts=3, pause_s=0.01)
MODEL = "demand-forecaster"
SETTINGS = {
    "project": "acme-ml",
    "region": "europe-west4",
    "pipeline_root": "gs://acme-pipelines/runs",
    "service_account": "ostinato@acme-ml.iam.gserviceaccount.com",
    "network": "projects/12345/global/networks/ml",
    "encryption_key": "projects/acme-ml/locations/europe-west4/keyRings/ml/cryptoKeys/runs",
}


@pytest.fixture
def vertex() -> Iterator[VertexServer]:
    with VertexServer() as server:
        yield server


@pytest.fixture
def engine(vertex: VertexServer) -> VertexClient:
    return connect(vertex)


def connect(server: VertexServer, patience: VertexRetryPolicy = QUICK, **settings: object) -> VertexClient:
    return VertexClient(VertexSettings.model_validate({**SETTINGS, "endpoint": server.url, **settings}), patience)


@pytest.fixture
def submission() -> Callable[..., Submission]:
    """Something to run: the golden package, with the arguments that a submission gives it."""

    def make(run: str = "demand-forecaster-4f2a", **other: object) -> Submission:
        arguments = {
            "data_uri": "gs://acme-lake/bikes.parquet",
            "tracking_uri": "https://mlflow.example.org",
            "manifests_remote": "https://git.example.org/fleet/manifests.git",
            "code_version": "0123456789abcdef0123456789abcdef01234567",
        }
        labels = {"model": MODEL, "commit": "0123456", "trigger": "merge", "part-of": "ostinato"}
        package = ROOT / "tests" / "golden" / f"{MODEL}.yaml"
        given = {"run": run, "model": MODEL, "package": package, "arguments": arguments, "labels": labels}
        return Submission(**{**given, **other})

    return make
