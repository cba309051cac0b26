"""Why a run failed is on the terminal: read from the logs of its pods, which are text of others."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.kubeflow.nodes import step_log
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault
from kubeflow.conftest import connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.states import waiting_pod, workflow_nodes
from pipelines.backends.kubeflow.step_log import LONGEST, LastWords, last_words
from pipelines.backends.kubeflow.waiting_pods import Pod
from pipelines.backends.remote import RemoteRun, Submission

Make = Callable[..., Submission]
RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
RUN = "demand-forecaster-4f2a"
LAUNCHER = "F1201 08:47:55.740379      16 main.go:59] failed to execute component: exit status"
DONE = dict.fromkeys(("preprocess", "train", "champion", "evaluate"), "SUCCEEDED")


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"kfp-{name}.json").read_text())


def refusal() -> str:
    """The log of a register step whose checks failed, as it was recorded."""
    return base64.b64decode(recorded("node-main-logs-read")["data"]).decode()


@pytest.fixture
def failed(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> Callable[[str], RemoteRun]:
    """The run whose train step ended with this log."""
    engine.submit(submission())
    kfp.state.walk({"preprocess": "SUCCEEDED", "train": "FAILED"}, "FAILED", "RuntimeError: x")
    (node,) = kfp.state.logs

    def run(log: str) -> RemoteRun:
        kfp.state.logs[node] = log
        return engine.get(RUN)

    return run


def test_a_recorded_refusal_is_told_with_every_reason(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    engine.submit(submission())
    kfp.state.replay(recorded("run-refused"))
    kfp.state.logs = {"demand-forecaster-jpf6q-3602013275": refusal()}
    run = engine.get(RUN)
    assert (run.state, run.decision) == ("failed", "reject")
    step = run.steps[5]
    first, *reasons = step.message.split("\n")
    assert first.startswith("the gate refused the candidate of demand-forecaster")
    assert [reason.partition(":")[0].strip() for reason in reasons] == [
        "mae against champion", "mae by weekday against champion"
    ]  # fmt: skip
    assert "exit status" not in step.message
    assert step.log == (
        f"curl -s '{kfp.url}/apis/v2beta1/runs/{run.id}/nodes/demand-forecaster-jpf6q-3602013275/artifacts/"
        "main-logs:read' | jq -r .data | base64 --decode"
    )


def test_a_failure_is_no_refusal_whatever_else_the_log_holds(failed: Callable[[str], RemoteRun]) -> None:
    log = f"training.errors.GateRefused: not the last word\n{step_log('training.errors.InputError: no such column')}"
    run = failed(log)
    assert (run.decision, run.steps[2].message) == ("", "no such column")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (f"sh: line 7:    23 Killed   python3 -m kfp.dsl.executor_main\n{LAUNCHER} 137\n", "needs more memory"),
        (f"{LAUNCHER.replace('exit status', 'signal: killed')}\n", "needs more memory"),
        (step_log("KeyError: 'count'"), "KeyError: 'count'"),
        (step_log("AssertionError"), "AssertionError"),
        (f"}}\nsh: python3: not found\n{LAUNCHER} 127\n", "exit status 127; its last line is: sh: python3: not found"),
        ('F1201 08:47:55.7 1 main.go:9] failed: secrets "store" not found\n', 'secrets "store" not found'),
        ("epoch 3\n", "killed from outside; its last line is: epoch 3"),
        ("", "without a reason"),
    ],
)  # fmt: skip
def test_the_reason_is_what_the_end_of_the_log_says(log: str, reason: str, failed: Callable[[str], RemoteRun]) -> None:
    assert reason in failed(log).steps[2].message


def test_the_name_of_a_refusal_is_the_one_that_python_prints() -> None:
    refused = subprocess.run(
        [sys.executable, "-c", "from training.errors import GateRefused\nraise GateRefused('mae is worse:\\n  49')"],
        cwd=RECORDED.parents[2], capture_output=True, text=True,
    )  # fmt: skip
    assert last_words(refused.stderr + f"{LAUNCHER} 1\n") == LastWords("mae is worse:\n  49", refused=True)


def test_of_chained_exceptions_the_last_is_the_reason() -> None:
    first = (
        "Traceback (most recent call last):\n  File x\nOSError: gone\n\nThe above exception was the direct cause\n\n"
    )
    assert last_words(first + step_log("training.errors.OstinatoError: no registry")).message == "no registry"


def test_a_log_obeys_nobody_and_hands_out_no_password() -> None:
    words = last_words(step_log("ValueError: \x1b[31mred\x1b]0;title\x07 https://me:hunter2@git.example.org\u202e\x9b"))
    assert words.message == "ValueError: red https://git.example.org"


def test_a_reason_has_a_bound_and_a_long_log_is_read_at_its_end(failed: Callable[[str], RemoteRun]) -> None:
    assert len(last_words(step_log("ValueError: " + "x" * 9999)).message) == LONGEST
    assert last_words(step_log("ValueError: a\n" + "b\n" * 999)).message.count("\n") < 20
    assert (
        failed("é" * 700_001 + "\n" + step_log("ValueError: at the end")).steps[2].message == "ValueError: at the end"
    )


def test_a_log_that_is_longer_than_is_read_is_said(kfp: KfpServer, failed: Callable[[str], RemoteRun]) -> None:
    run = failed("\0" * (50 << 20))
    assert "its log can't be had" in run.steps[2].message
    assert len(run.steps[2].message) < LONGEST


def test_a_log_that_argo_does_not_keep_is_that_of_the_pod(kfp: KfpServer, failed: Callable[[str], RemoteRun]) -> None:
    failed("")
    kfp.state.pod_logs, kfp.state.logs = {node: step_log("ValueError: y") for node in kfp.state.logs}, {}
    assert failed_message(kfp) == "ValueError: y"


def test_a_log_that_can_not_be_had_is_said(kfp: KfpServer, failed: Callable[[str], RemoteRun]) -> None:
    failed("")
    kfp.state.logs = {}
    assert "its log can't be had" in failed_message(kfp) and "archiveLogs" in failed_message(kfp)
    kfp.faults.append(Fault("GET", "main-logs:read", status=200, body=b"<html>"))
    kfp.faults.append(Fault("GET", "/log", status=200, body=b"<html>"))
    assert "its log can't be had" in failed_message(kfp)


def failed_message(kfp: KfpServer) -> str:
    return connect(kfp).get(RUN).steps[2].message


def test_a_run_that_is_cancelled_has_no_reasons_to_look_for(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.replay(recorded("run-cancelled"))
    assert engine.get(RUN).state == "cancelled"
    assert not [request for request in kfp.log if "nodes" in request.path]


def test_what_keeps_a_pod_from_starting_is_asked_of_the_ui(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "PENDING"}, "RUNNING")
    (_, step, *_) = engine.get(RUN).steps
    assert step.state == "running" and step.waits_since == "2026-03-02T03:00:00Z"
    assert step.message.startswith(
        "kubectl describe pods --namespace kubeflow --selector workflows.argoproj.io/workflow="
    )
    pod = waiting_pod(workflow_nodes(kfp.state.only_run()), "preprocess")
    no_node = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu"}
    kfp.state.pods[pod] = {"status": {"conditions": [no_node]}}
    assert engine.get(RUN).steps[1].message == "it can't be scheduled: 0/3 nodes: Insufficient cpu"
    kfp.state.pods[pod] = {"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}
    kfp.state.events[pod] = {"items": [{"type": "Warning", "message": 'secret "signing" not found'}]}
    assert engine.get(RUN).steps[1].message == 'secret "signing" not found'


def test_a_pods_name_is_the_one_that_was_recorded() -> None:
    pod = yaml.safe_load((RECORDED / "kfp-pod-of-champion-step.yaml").read_text())
    assert waiting_pod(workflow_nodes(recorded("run-succeeded-cached")), "champion") == pod["metadata"]["name"]
    assert Pod.model_validate(pod).cause() == ""


def test_a_secret_that_a_container_lacks_is_the_cause() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "forge" not found'}
    pod = Pod.model_validate({"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}})
    assert pod.cause() == 'CreateContainerConfigError: secret "forge" not found'


@pytest.mark.parametrize("answer", [{"status": "ok"}, {"status": {"conditions": ["Ready"]}}, {"items": None}])
def test_an_odd_answer_about_a_pod_is_no_cause(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, answer: Any
) -> None:
    run = engine.submit(submission()).run
    kfp.state.walk({"preprocess": "PENDING"}, "RUNNING")
    kfp.state.pods[waiting_pod(workflow_nodes(kfp.state.only_run()), "preprocess")] = answer
    assert engine.get(run).steps[1].message.endswith("shows why")
