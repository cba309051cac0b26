"""Runs that were cancelled, and runs that nothing runs any more, whatever state Kubeflow shows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.remote import Submission
from pipelines.notifications.notice import notice_of_remote
from training.errors import OstinatoError

Make = Callable[..., Submission]
RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
RUN = "demand-forecaster-4f2a"


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"kfp-{name}.json").read_text())


@pytest.mark.parametrize("name", ["run-cancelled", "run-terminated-end"])
def test_a_run_that_was_cancelled_is_failed_at_kubeflow_and_cancelled_for_us(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, name: str
) -> None:
    engine.submit(submission())
    kfp.state.replay(recorded(name))
    run = engine.get(RUN)
    assert (kfp.state.only_run()["state"], run.state) == ("FAILED", "cancelled")
    assert notice_of_remote(run) is None, "who cancelled it knows"


def test_one_that_went_on_after_it_was_cancelled_and_failed_has_failed(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    run = kfp.state.only_run()
    kfp.state.walk({"preprocess": "FAILED"}, "CANCELED")
    run["state_history"] += [{"update_time": "2026-03-02T03:09:00Z", "state": state} for state in ("RUNNING", "FAILED")]
    assert engine.get(RUN).state == "failed"


def test_a_run_of_a_recurring_run_that_was_deleted_is_over(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    run = recorded("run-of-deleted-recurring")
    kfp.state.replay(run)
    kfp.state.only_run()["recurring_run_id"] = run["recurring_run_id"]
    kfp.state.recurring[run["recurring_run_id"]] = {
        "recurring_run_id": run["recurring_run_id"], "experiment_id": kfp.state.only_run()["experiment_id"]
    }  # fmt: skip
    assert engine.get(RUN).state == "running"
    kfp.state.recurring.clear()
    over = engine.get(RUN)
    assert (over.state, [step.state for step in over.steps[5:]]) == ("cancelled", ["cancelled", "skipped"])
    assert "its recurring run was deleted" in over.message
    with pytest.raises(OstinatoError, match=r"nothing to cancel of the run .*its recurring run was deleted"):
        engine.cancel(RUN)
    assert kfp.state.only_run()["state"] == "RUNNING"


def test_a_run_whose_workflow_was_deleted_by_hand_can_not_be_cancelled(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    gone = b'{"code": 13, "message": "Failed to terminate run: workflows.argoproj.io \\"x\\" not found"}'
    kfp.faults.append(Fault("POST", ":terminate", status=500, body=gone))
    with pytest.raises(OstinatoError, match=r"its workflow is not there any more, and nothing runs it"):
        engine.cancel(RUN)


def test_a_run_that_is_being_cancelled_does_not_go_on_yet(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.replay(recorded("run-after-terminate"))
    with pytest.raises(OstinatoError, match=r"is being cancelled; go on with it when it is cancelled"):
        engine.resume(RUN)


def test_a_run_that_kubeflow_has_no_report_of_is_said_as_that(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "FAILED"}, "FAILED")
    body = json.dumps(recorded("retry-not-reported")).encode()
    kfp.faults.append(Fault("POST", ":retry", status=409, body=body, times=3))
    with pytest.raises(OstinatoError, match=r"can't do it yet \(409\).* no report of what the run did; try again"):
        engine.resume(RUN)
    kfp.faults.append(Fault("POST", ":retry", status=409, body=body))
    assert engine.resume(RUN).state == "running", "a moment later there is one"


def test_one_that_succeeded_has_nothing_to_go_on_with(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "SUCCEEDED"}, "SUCCEEDED")
    assert engine.resume(RUN).state == "succeeded"
    assert not any(path.endswith(":retry") for path in kfp.seen)
