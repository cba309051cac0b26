"""The command over a workspace's settings, and a real MLflow server that sends to an entry point."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from events.senders import DRIFT, Point, drift
from harness.servers import free_port, running_mlflow, wait_until_ready

from pipelines.events.serve import access_of, models_of
from pipelines.settings.settings import load_workspace
from training.errors import InputError

WORKSPACE = Path(__file__).resolve().parents[2]
AUDIENCE = {"audience": "https://events.example.org", "senders": ["a@b.iam.gserviceaccount.com"]}


def test_a_real_mlflow_server_s_webhook_starts_one_run(
    point: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "8NqOYjtyYxcI1lVGZcQeDt3JcVRMJNyZbZ1eT4Y5e2A=")
    with running_mlflow(tmp_path) as url:
        client = mlflow.MlflowClient(url, registry_uri=url)
        client.create_webhook(
            "retrain",
            f"{point.url}/events/mlflow",
            ["model_version.created", "model_version_alias.created"],
            secret="mlflow secret",
        )
        client.create_registered_model("base-encoder")
        client.create_model_version("base-encoder", "s3://models/base", tags={"ostinato.model_digest": "sha256:1"})
        client.create_model_version("base-encoder", "s3://models/base")
        client.set_registered_model_alias("base-encoder", "candidate", "2")
        deadline = time.monotonic() + 30
        while len(point.log) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert [entry["status"] for entry in point.log] == [200, 200, 200]
    assert list(point.engine.runs.values()) == [("churn", "registered base-encoder 2", "registry")]


def workspace(**events: Any):
    return load_workspace(WORKSPACE, {"events": events})


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OSTINATO_MLFLOW_WEBHOOK", "OSTINATO_EVENTS"))]:
        monkeypatch.delenv(name)


def test_an_entry_point_that_nobody_may_use_does_not_start() -> None:
    with pytest.raises(InputError, match="nobody could send an event"):
        access_of(workspace())
    with pytest.raises(InputError, match="go together"):
        access_of(workspace(audience="https://events.example.org"))


def test_secrets_come_from_a_file_and_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    monkeypatch.setenv("OSTINATO_EVENTS_SECRET_FILE", str(file))
    found = access_of(workspace(**AUDIENCE))
    assert found.drift_secret == "s3cret"
    assert "s3cret" not in repr(found)


def test_a_mapping_to_no_model_or_in_a_circle_is_refused() -> None:
    with pytest.raises(InputError, match=r"no model 'demand-forecastr'\. Did you mean 'demand-forecaster'"):
        models_of(workspace(models={"base": "demand-forecastr"}))
    with pytest.raises(InputError, match="train forever"):
        models_of(workspace(models={"demand-forecaster": "demand-forecaster"}))


def test_the_command_submits_by_the_workspace_s_settings(point: Point) -> None:
    port = free_port()
    secrets = {"OSTINATO_EVENTS_SECRET": "drift secret"}
    command = [sys.executable, "-m", "pipelines.cli", "events", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=WORKSPACE, env={**os.environ, **secrets}, stdout=subprocess.PIPE, text=True)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/healthz", server)
        answer = drift(replace(point, url=f"http://127.0.0.1:{port}"), DRIFT.replace(b"demand", b"demand-forecaster"))
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=30)
    assert answer.status_code == 500, answer.text
    entry = json.loads(output.splitlines()[0])
    assert (entry["severity"], entry["event"]) == ("ERROR", "drift")
    assert "OSTINATO_VERTEX__PROJECT" in entry["log"]
