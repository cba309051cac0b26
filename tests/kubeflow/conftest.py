"""Kubeflow on loopback, a compiled package, and an engine that does not wait long."""

from collections.abc import Callable
from pathlib import Path

import pytest
from harness.kubeflow.server import KfpServer, kfp

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.connection import KubeflowRetryPolicy
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import Submission

__all__ = ["kfp"]

ROOT = Path(__file__).parents[2]
QUICK = KubeflowRetryPolicy(connect_s=10, read_s=30, attempts=3, pause_s=0.01)
MODEL = "demand-forecaster"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who has set nothing of Kubeflow's."""
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"OSTINATO_KUBEFLOW_{name}", raising=False)
        monkeypatch.delenv(f"OSTINATO_KUBEFLOW_{name}_FILE", raising=False)


@pytest.fixture
def engine(kfp: KfpServer) -> KubeflowClient:
    return connect(kfp)


def connect(server: KfpServer, patience: KubeflowRetryPolicy = QUICK, **settings: object) -> KubeflowClient:
    return KubeflowClient(KubeflowSettings.model_validate({"endpoint": server.url, **settings}), patience)


@pytest.fixture
def submission() -> Callable[..., Submission]:
    """Something to run: the golden package, with the arguments that a submission gives it."""

    def make(run: str = "demand-forecaster-4f2a", **other: object) -> Submission:
        arguments = {
            "data_uri": "s3://lake/bikes.parquet",
            "tracking_uri": "https://mlflow.example.org",
            "manifests_remote": "https://git.example.org/fleet/manifests.git",
            "code_version": "0123456789abcdef0123456789abcdef01234567",
        }
        labels = {"model": other.get("model", MODEL), "commit": "0123456", "trigger": "merge"}
        package = ROOT / "tests" / "golden" / f"{MODEL}.yaml"
        given = {"run": run, "model": MODEL, "package": package, "arguments": arguments, "labels": labels}
        return Submission(**{**given, **other})

    return make
