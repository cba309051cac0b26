"""A client that is killed at any of its requests, and started again, has made each thing once."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.kubeflow.server import KfpServer, Kill
from kubeflow.conftest import MODEL, ROOT
from kubeflow.kfp_client import WANTED

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.remote import Submission

PACKAGE = ROOT / "tests" / "golden" / f"{MODEL}.yaml"
CLIENT = Path(__file__).with_name("kfp_client.py")


def run_client(server: KfpServer, what: str) -> int:
    client = subprocess.Popen([sys.executable, str(CLIENT), server.url, str(PACKAGE), what], cwd=ROOT)
    if server.kill:
        server.kill.victim = client.pid
        server.kill.ready.set()
    return client.wait(60)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_submission_that_is_killed_anywhere_is_one_run_when_it_is_repeated(
    kfp: KfpServer, at: int, done: bool
) -> None:
    kfp.kill = Kill(at, done)
    assert run_client(kfp, "submit") == -9
    kfp.kill = None
    assert run_client(kfp, "submit") == 0
    state = kfp.state
    assert len(state.experiments) == len(state.model_pipelines) == len(state.model_versions) == len(state.runs) == 1


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("request_", ["create", "delete"])
def test_a_change_of_a_schedule_that_is_killed_anywhere_is_whole_when_it_is_repeated(
    kfp: KfpServer, engine: KubeflowClient, submission: Callable[..., Submission], request_: str, done: bool
) -> None:
    old = dataclasses.replace(WANTED, digest="sha256:" + "a" * 64)
    engine.put_schedule(old, submission())
    kfp.kill = Kill(len(kfp.seen) + (1 if request_ == "create" else 2), done)
    assert run_client(kfp, "schedule") == -9
    assert 1 <= len(kfp.state.recurring) <= 2, "never without a schedule"
    kfp.kill = None
    assert run_client(kfp, "schedule") == 0
    assert [one.digest for one in engine.schedules()] == [WANTED.digest]
