"""`ostinato` against Kubeflow, as a user runs it."""

import json
from pathlib import Path

import pytest
from conftest import Finished, run_ostinato
from kubeflow.kfp_server import TOKEN, KfpServer, running_kfp
from kubeflow.kfp_state import walk

MODEL = "demand-forecaster"
DONE = {name: "SUCCEEDED" for name in ("preprocess", "train", "champion", "evaluate")}
SPEC_ADDITION = "\nschedule:\n  cron: 30 2 * * 1-5\n"


def ostinato(workspace: Path, server: KfpServer, *arguments: str) -> Finished:
    return run_ostinato(
        workspace,
        *arguments,
        OSTINATO_IMAGE="registry.example.org/ostinato@sha256:" + "1" * 64,
        OSTINATO_TRACKING_URI="https://mlflow.example.org",
        OSTINATO_MANIFESTS_REMOTE="https://git.example.org/fleet/manifests.git",
        OSTINATO_KUBEFLOW__ENDPOINT=server.url,
        OSTINATO_KUBEFLOW__AUTH="token",
        OSTINATO_KUBEFLOW__NODE_SELECTOR='{"pool": "steps"}',
        OSTINATO_KUBEFLOW__SECRETS='{"OSTINATO_FORGE_TOKEN": "forge/token"}',
        OSTINATO_KUBEFLOW_TOKEN=TOKEN,
    )


def test_a_run_is_followed_to_its_end_and_found_again_by_its_key(workspace: Path) -> None:
    with running_kfp(KfpServer(token=TOKEN)) as server:
        server.state.pace = [
            ({"preprocess": "CACHED", "train": "RUNNING"}, "RUNNING", ""),
            ({**DONE, "register": "SUCCEEDED", "deploy": "SUCCEEDED"}, "SUCCEEDED", ""),
        ]
        command = ("submit", MODEL, "--backend", "kubeflow", "--key", "commit-1", "--wait", "--poll", "0.01")
        done = ostinato(workspace, server, *command)
        assert done.code == 0, done.err
        assert "preprocess cached" in done.err and "train running" in done.err and "deploy succeeded" in done.err
        assert "the gate said pass" in done.out
        again = ostinato(workspace, server, *command)
        assert again.code == 0 and again.out.startswith("found ")
        assert len(server.state.runs) == 1
        (package,) = server.state.packages.values()
        assert "platforms:" in package and "pool: steps" in package
        assert TOKEN not in json.dumps(server.requests)


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [("main: Error (exit code 3)", 3, "the gate said no"), ("OOMKilled", 1, "register: OOMKilled")],
)
def test_a_run_that_did_not_end_well_ends_the_command_as_the_laptop_would(
    workspace: Path, message: str, code: int, said: str
) -> None:
    with running_kfp(KfpServer(token=TOKEN)) as server:
        server.state.pace = [({**DONE, "register": "FAILED"}, "FAILED", message)]
        done = ostinato(workspace, server, "submit", MODEL, "--backend", "kubeflow", "--wait", "--poll", "0.01")
        assert (done.code, said in done.err) == (code, True), done.err


def test_a_failed_run_is_resumed_and_a_running_one_cancelled(workspace: Path) -> None:
    with running_kfp(KfpServer(token=TOKEN)) as server:
        ostinato(workspace, server, "submit", MODEL, "--backend", "kubeflow", "--key", "1")
        run = server.state.only_run()
        walk(run, {"preprocess": "SUCCEEDED", "train": "FAILED"}, "FAILED")
        resumed = ostinato(workspace, server, "submit", MODEL, "--backend", "kubeflow", "--resume", run["display_name"])
        assert (resumed.code, run["state"]) == (0, "RUNNING"), resumed.err
        assert ostinato(workspace, server, "cancel", run["display_name"], "--backend", "kubeflow").code == 0
        assert run["state"] == "CANCELING"


def test_schedules_are_made_equal_to_git_and_then_nothing_is_left_to_do(workspace: Path) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    plain = spec.read_text()
    with running_kfp(KfpServer(token=TOKEN)) as server:
        for text, schedules in ((plain + SPEC_ADDITION, 1), (plain, 0)):
            spec.write_text(text)
            assert ostinato(workspace, server, "schedule", "apply", "--backend", "kubeflow").code == 0
            assert len(server.state.recurring) == schedules
            sent = len(server.requests)
            assert ostinato(workspace, server, "schedule", "apply", "--backend", "kubeflow").code == 0
            assert len(server.requests) == sent
