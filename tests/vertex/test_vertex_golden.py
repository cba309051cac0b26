"""What Vertex AI would receive, as files to be read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from vertex.conftest import ROOT
from vertex.vertex_server import VertexServer

from pipelines.backends.remote import ScheduleEntry, Submission
from pipelines.backends.vertex.backend_client import VertexClient

Make = Callable[..., Submission]
RUN = "demand-forecaster-4f2a"


def check_golden(name: str, requests: list, config: pytest.Config) -> None:
    path = ROOT / "tests" / "golden" / f"vertex-{name}.json"
    text = json.dumps(requests, indent=2, sort_keys=True) + "\n"
    if config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def without_package(request: dict) -> dict:
    """The package has a golden file of its own; that all of it is sent is another test's."""
    body = json.loads(json.dumps(request["body"]))
    for job in (body, body.get("createPipelineJobRequest", {}).get("pipelineJob", {})):
        if "pipelineSpec" in job:
            job["pipelineSpec"] = "demand-forecaster.yaml"
    return {**request, "body": body}


def test_a_run(vertex: VertexServer, engine: VertexClient, submission: Make, pytestconfig: pytest.Config) -> None:
    engine.submit(submission())
    vertex.state.walk(RUN, "RUNNING", {})
    engine.cancel(RUN)
    vertex.state.walk(RUN, "CANCELLED", {"preprocess": "SUCCEEDED", "train": "CANCELLED"})
    engine.resume(RUN)
    check_golden("run", [without_package(one) for one in vertex.requests], pytestconfig)


def test_a_schedule(vertex: VertexServer, engine: VertexClient, submission: Make, pytestconfig: pytest.Config) -> None:
    entry = ScheduleEntry("demand-forecaster", "0 3 * * 1", "Europe/Berlin", "0123456789abcdef")
    made = engine.put_schedule(entry, submission("demand-forecaster-schedule"))
    engine.put_schedule(made, submission("demand-forecaster-schedule"))
    engine.delete_schedule(made)
    check_golden("schedule", [without_package(one) for one in vertex.requests], pytestconfig)


def test_the_whole_package_is_sent(vertex: VertexServer, engine: VertexClient, submission: Make) -> None:
    engine.submit(submission())
    (sent,) = vertex.requests
    package: Path = submission().package
    assert sent["body"]["pipelineSpec"] == yaml.safe_load(package.read_text())
