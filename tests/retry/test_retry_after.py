"""What a busy server asks of its clients: each waits as long as Retry-After says, in seconds or until a date, and
gives up at once where that is too long."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.loopback import LoopbackServer, Reply, Request

from components.drift.event import SECRET, post_event
from components.drift.steps import Watched
from delivery.forges.choose import forge_of
from delivery.git.github_app import app_token
from delivery.registry.rest import RestRegistry
from delivery.retry import RetryPolicy, raised, retry_after, retrying
from delivery.stores.image_registry import ImageRepository
from delivery.stores.mlflow_proxy import download
from delivery.stores.sources import snapshot
from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.vertex.backend_client import VertexClient
from pipelines.backends.vertex.secret_manager import ENDPOINT, secrets_of
from pipelines.backends.vertex.vertex_settings import VertexSettings
from pipelines.notifications import slack
from pipelines.notifications.notice import Notice
from training.errors import OstinatoError


class Busy(LoopbackServer):
    """Answers 429 to everything, with the header."""

    retry_after = ""

    def answer(self, request: Request) -> Reply:
        return Reply(429, {}, {"Retry-After": self.retry_after})


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Busy]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, own, clear = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = tmp_path / "key.pem"
    file.touch(0o600)
    file.write_bytes(key.private_bytes(pem, own, clear))
    with Busy() as server:
        monkeypatch.setenv("OSTINATO_GITHUB_APP_ID", "12")
        monkeypatch.setenv("OSTINATO_GITHUB_APP_KEY_FILE", str(file))
        monkeypatch.setenv("OSTINATO_GITHUB_API_URL", server.url)
        monkeypatch.setenv("OSTINATO_FORGE_TOKEN", "a-token")
        monkeypatch.setenv(SECRET, "a-secret")
        yield server


def ask_forge(url: str, folder: Path) -> None:
    forge = forge_of(f"{url}/fleet/manifests.git", f"gitea={url}")
    assert forge
    forge.proposals("open")


def ask_vertex(url: str, folder: Path) -> None:
    settings = {"project": "acme-ml", "region": "europe-west4", "pipeline_root": "gs://bucket/runs", "endpoint": url}
    VertexClient(VertexSettings.model_validate(settings)).get("run-1")


def ask_secret_manager(url: str, folder: Path) -> None:
    secrets_of({ENDPOINT: url, "TOKEN_SECRET": "projects/p/secrets/s/versions/1"})


CLIENTS: dict[str, Callable[[str, Path], object]] = {
    "forge": ask_forge,
    "GitHub App": lambda url, folder: app_token(f"{url}/fleet/manifests.git"),
    "MLflow registry": lambda url, folder: RestRegistry(url).aliases("churn"),
    "MLflow artifacts": lambda url, folder: download(url, "mlflow-artifacts:/0/models/m-1/artifacts", folder),
    "image registry": lambda url, folder: ImageRepository(f"oci://{url.removeprefix('http://')}/models/churn").manifest(
        "v1"
    ),
    "data over HTTP": lambda url, folder: snapshot(f"{url}/rows.parquet", folder),
    "events": lambda url, folder: post_event(url, Watched("churn", "7", (), "ask", "", "")),
    "Slack": lambda url, folder: slack.send(url, Notice(kind="failed", model="churn", run="churn-1")),
    "Vertex AI": ask_vertex,
    "Secret Manager": ask_secret_manager,
    "Kubeflow": lambda url, folder: KubeflowClient(KubeflowSettings.model_validate({"endpoint": url})).get("run-1"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_comes_back_when_the_server_says_a_bounded_number_of_times(
    client: str, busy: Busy, tmp_path: Path
) -> None:
    busy.retry_after = "0"
    with pytest.raises(OstinatoError):
        CLIENTS[client](busy.url, tmp_path)
    assert 3 <= len(busy.log) <= 5


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("header", ["3600", "a date"])
def test_a_client_does_not_wait_an_hour(header: str, client: str, busy: Busy, tmp_path: Path) -> None:
    busy.retry_after = header if header.isdigit() else formatdate(usegmt=True, timeval=4_000_000_000)
    with pytest.raises(OstinatoError):
        CLIENTS[client](busy.url, tmp_path)
    assert len(busy.log) == 1


class Asks(Exception):
    def __init__(self, retry_after: str) -> None:
        self.headers = {"Retry-After": retry_after}


def pauses_of(policy: RetryPolicy, *headers: str) -> list[float]:
    """The pauses between failures that carry these headers."""
    failures, pauses = [Asks(header) for header in headers], []

    def fail() -> None:
        raise failures.pop(0)

    with pytest.raises(Asks):
        retrying(replace(policy, sleep=pauses.append), raised(Asks))(fail)
    return pauses


def test_the_pause_is_what_the_server_asks_for_else_a_growing_random_one() -> None:
    policy = RetryPolicy(attempts=5, pause_s=0.5)
    first, asked, third, fourth = pauses_of(policy, "", "7", "soon", "", "")
    assert asked == 7 and 0 <= first <= 0.5 and 0 <= third <= 2 and 0 <= fourth <= 4


def test_who_asks_for_more_than_the_longest_pause_is_not_waited_for() -> None:
    assert pauses_of(RetryPolicy(attempts=5, longest_pause_s=10), "9", "11", "9") == [9]


def test_no_attempt_begins_after_the_time_limit() -> None:
    assert pauses_of(RetryPolicy(attempts=5, longest_pause_s=60, total_s=20), "5", "21", "5") == [5]


def test_what_is_no_seconds_and_no_date_asks_for_nothing() -> None:
    assert [retry_after(Asks(text)) for text in ("", "-1", "1x", "soon", "Fri, 99 Foo")] == [None] * 5
    assert retry_after(Asks("Tue, 01 Dec 2020 12:00:00 GMT")) == 0
