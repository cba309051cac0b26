"""`ostinato submit`, `wait`, `cancel` and `schedule` as a user types them, against Vertex AI on loopback."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import Finished
from vertex.conftest import MODEL, SETTINGS
from vertex.vertex_server import VertexServer

Run = Callable[..., Finished]
STEPS = ["preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy"]


@pytest.fixture
def on_vertex(vertex: VertexServer, ostinato: Run) -> Run:
    """Runs the command line with Vertex AI's address and reachable places set."""
    reachable = {
        "OSTINATO_TRACKING_URI": "https://mlflow.example.org",
        "OSTINATO_MANIFESTS_REMOTE": "https://git.example.org/fleet/manifests.git",
        "OSTINATO_IMAGE": "registry.example.org/ostinato@sha256:" + "1" * 64,
        "OSTINATO_VERTEX__ENDPOINT": vertex.url,
        **{f"OSTINATO_VERTEX__{name.upper()}": value for name, value in SETTINGS.items()},
    }

    def run(*arguments: str, **extra: object) -> Finished:
        return ostinato(*arguments, "--backend", "vertex", **{**reachable, **extra})

    return run


def test_a_run_is_submitted_once_for_its_key_and_waiting_ends_as_the_gate_says(
    vertex: VertexServer, on_vertex: Run
) -> None:
    first = json.loads(on_vertex("submit", MODEL, "--key", "0123abc", "--json", expect=0).out)
    steps = {**dict.fromkeys(STEPS, "SUCCEEDED"), "register": "FAILED", "deploy": "NOT_TRIGGERED"}
    vertex.state.walk(first["run"], "FAILED", steps, "exit 3", decision="reject")
    done = on_vertex("submit", MODEL, "--key", "0123abc", "--wait", "--poll", "0.01", expect=3)
    assert f"found {first['run']}" in done.out and first["link"] in done.out
    assert "checks failed: demand-forecaster" in done.err
    assert len(vertex.state.jobs) == 1


def test_a_schedule_of_git_is_put_there_and_kept(vertex: VertexServer, on_vertex: Run, workspace: Path) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    spec.write_text(spec.read_text() + "\nschedule: {cron: '0 3 * * 1', time_zone: Europe/Berlin}\n")
    assert on_vertex("schedule", "apply", expect=0).out.startswith("create")
    assert on_vertex("schedule", "apply", expect=0).out.startswith("keep")
    (there,) = vertex.state.schedules.values()
    assert there.cron == "TZ=Europe/Berlin 0 3 * * 1"
