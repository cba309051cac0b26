"""What goes wrong on the way to Vertex AI: what is tried again, what is told, what is refused before it is sent."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api_core.exceptions import Unauthorized
from harness.loopback import Fault
from harness.servers import free_port
from vertex.conftest import QUICK, SETTINGS, connect
from vertex.vertex_server import VertexServer

from pipelines.backends.remote import Submission
from pipelines.backends.vertex.api_errors import explain
from pipelines.backends.vertex.backend_client import VertexClient
from pipelines.backends.vertex.connection import VertexRetryPolicy
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError, OstinatoError

Make = Callable[..., Submission]
RUN = "demand-forecaster-4f2a"
TRANSIENT = [
    ({"status": 429}, "answered 429: .*the quota of the project is used up"),
    ({"status": 500}, "answered 500: an invented fault|answered 500: .*"),
    ({"status": 503}, "answered 503"),
    ({"status": 502, "body": b"<html>Bad Gateway</html>"}, "answered 502"),
    ({"status": 200, "body": b"<html>captive portal</html>"}, "sent what is no answer of its interface"),
    ({"cut": True}, "can't be reached"),
]


@pytest.mark.parametrize(("trouble", "what"), TRANSIENT)
def test_what_may_pass_is_tried_again_a_bounded_number_of_times(
    trouble: dict, what: str, vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    vertex.faults.append(Fault("POST", "/pipelineJobs", times=2, **trouble))
    assert engine.submit(submission()).run == RUN
    vertex.faults.append(Fault("GET", RUN, times=3, **trouble))
    with pytest.raises(OstinatoError, match=rf"asking for the run {RUN}: .*({what}).*\(tried 3 times\)"):
        engine.get(RUN)
    assert not vertex.faults


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (400, "answered 400"),
        (401, "the credentials are of no use: .*gcloud auth application-default login"),
        (403, "grant whoever submits roles/aiplatform.user on the project acme-ml, and roles/iam.serviceAccountUser on "
              "ostinato@acme-ml.iam.gserviceaccount.com, .*gcloud services enable aiplatform.googleapis.com"),
        (404, "vertex.project 'acme-ml' and vertex.region 'europe-west4' right"),
    ],
)  # fmt: skip
def test_what_will_not_pass_is_told_at_once_with_what_mends_it(
    status: int, what: str, vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    vertex.faults.append(Fault("POST", "/pipelineJobs", status=status))
    with pytest.raises(OstinatoError, match=f"starting the run {RUN}: .*{what}"):
        engine.submit(submission())
    assert [one for one in vertex.asked if one.startswith("POST")] == [
        "POST /v1/projects/acme-ml/locations/europe-west4/pipelineJobs"
    ]


def test_a_token_that_is_not_taken_is_told_with_how_to_log_in() -> None:
    """Nobody has a token on loopback, so the answer is one that Google's client made."""
    told, again = explain(
        "listing runs", Unauthorized("expired"), VertexSettings.model_validate(SETTINGS), "https://vertex.example.org"
    )
    assert not again
    assert "did not take the credentials (401): expired; log in with" in str(told)


def test_an_answer_that_does_not_come_is_not_waited_for(vertex: VertexServer) -> None:
    hasty = connect(vertex, VertexRetryPolicy(request_s=0.2, attempts=2, pause_s=0.01))
    vertex.faults.append(Fault("GET", RUN, late=True, times=2))
    with pytest.raises(OstinatoError, match=r"did not answer in time \(tried 2 times\)"):
        hasty.get(RUN)


def test_an_address_where_nobody_listens_is_named() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    engine = VertexClient(VertexSettings.model_validate({**SETTINGS, "endpoint": nobody}), QUICK)
    with pytest.raises(OstinatoError, match=f"Vertex AI at {nobody} can't be reached"):
        engine.get(RUN)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"project": ""}, "vertex.project: not set; set OSTINATO_VERTEX__PROJECT, or --set vertex.project=VALUE"),
        ({"region": "", "pipeline_root": ""}, "vertex.region and vertex.pipeline_root: not set"),
        ({"endpoint": "http://proxy.example.org"}, "would read the access token; give an https:// URL"),
        ({"endpoint": "proxy.example.org"}, "vertex.endpoint 'proxy.example.org'"),
    ],
)
def test_settings_that_can_not_be_right_are_named_before_anything_is_sent(settings: dict, what: str) -> None:
    with pytest.raises(InputError, match=what):
        VertexClient(VertexSettings.model_validate({**SETTINGS, **settings}))


def test_missing_credentials_are_told_with_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="gcloud auth application-default login"):
        VertexClient(VertexSettings.model_validate(SETTINGS)).get(RUN)


def test_a_missing_client_is_told_with_how_to_install_it(tmp_path: Path) -> None:
    """In a process of its own, where an import of the client fails as if it were not installed."""
    program = """
import sys
sys.modules["google.cloud.aiplatform_v1"] = None
from pipelines.backends.vertex.backend_client import VertexClient
from pipelines.backends.vertex.vertex_settings import VertexSettings
VertexClient(VertexSettings(project="p", region="r", pipeline_root="gs://b")).get("x")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "InputError" in done.stderr and "pip install 'ostinato[vertex]'" in done.stderr


def test_looking_at_the_settings_does_not_load_the_client() -> None:
    program = "import sys, pipelines.backends.vertex; sys.exit('google.cloud.aiplatform_v1' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
