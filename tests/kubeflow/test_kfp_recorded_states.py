"""The states of recorded runs of Kubeflow Pipelines 2.17.0, by the tree of their nodes and not by names."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.backends.kubeflow.states import failed_pods, remote_run, waiting_pod, workflow_nodes
from pipelines.backends.kubeflow.workflow_nodes import children
from pipelines.backends.remote import RemoteRun

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
STEPS = ("preprocess", "train", "champion", "evaluate", "register", "deploy")


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"kfp-run-{name}.json").read_text())


def shown(name: str, *steps: str, gone: bool = False) -> RemoteRun:
    return remote_run(recorded(name), steps or STEPS, "m", "https://kubeflow.example.org", gone=gone)


@pytest.mark.parametrize(
    ("name", "state", "steps"),
    [
        ("succeeded-cached", "succeeded", "cached cached succeeded succeeded succeeded succeeded"),
        ("champion-failed", "failed", "succeeded succeeded failed skipped skipped skipped"),
        ("refused", "failed", "cached succeeded succeeded succeeded failed skipped"),
        ("before-resume", "failed", "cached succeeded failed skipped skipped skipped"),
        ("after-resume", "running", "cached succeeded running pending pending pending"),
        ("cancelled", "cancelled", "succeeded cancelled skipped skipped skipped skipped"),
        ("oom", "failed", "cached failed skipped skipped skipped skipped"),
        ("pod-killed", "running", "cached running pending pending pending pending"),
        ("retries", "failed", "cached cached failed skipped skipped skipped"),
        ("kills-in-register-and-deploy", "succeeded", "cached succeeded succeeded succeeded succeeded succeeded"),
        ("of-deleted-recurring", "running", "succeeded succeeded succeeded succeeded running pending"),
        ("terminated-end", "cancelled", "skipped skipped skipped skipped skipped skipped"),
        ("after-terminate", "running", "pending pending pending pending pending pending"),
        ("get-pending", "pending", "pending pending pending pending pending pending"),
    ],
)
def test_a_run_is_told_as_it_was_recorded(name: str, state: str, steps: str) -> None:
    run = shown(name)
    assert (run.state, " ".join(step.state for step in run.steps)) == (state, steps)


@pytest.mark.parametrize(
    ("name", "states"),
    [("hello-succeeded", {"say": ("succeeded", 5)}), ("of-recurring", {"say": ("cached", 0)}),
     ("no-template-defaults-retry", {"ok": ("succeeded", 6), "boom": ("failed", 5)})],
)  # fmt: skip
def test_so_are_one_whose_whole_workflow_was_retried_and_one_of_a_cluster_that_retries_nothing(
    name: str, states: dict[str, tuple[str, int]]
) -> None:
    assert {step.name: (step.state, step.seconds) for step in shown(name, *states).steps} == states


def test_of_a_node_that_is_there_twice_the_newest_try_counts() -> None:
    roots = [detail for detail in recorded("hello-succeeded")["run_details"]["task_details"]
             if detail.get("display_name") == "root"]  # fmt: skip
    assert [detail.get("state") for detail in roots] == [None, "SUCCEEDED"]
    assert workflow_nodes(recorded("hello-succeeded")).root == "hello-9xq69(1).root(0)"


@pytest.mark.parametrize("path", sorted(RECORDED.glob("kfp-run-*.json")), ids=lambda path: path.stem)
def test_every_recorded_id_is_the_hash_of_a_path(path: Path) -> None:
    run = json.loads(path.read_text())
    details = (run.get("run_details") or {}).get("task_details") or []
    nodes = workflow_nodes(run)
    numbered = ["", "(0)", "(1)", "(2)"]
    known = {nodes.node_id(f"{nodes.workflow}{number}") for number in numbered}
    for base in [f"{nodes.workflow}{number}" for number in numbered] + [f"{nodes.workflow}(1).root(0)", nodes.root]:
        for name in {detail.get("display_name") for detail in details} | {"root", "root-driver"}:
            step = f"{base}.{str(name).partition('(')[0]}"
            for number in numbered:
                known |= {nodes.node_id(f"{step}{number}")}
                known |= {nodes.node_id(f"{step}{number}.executor{inner}") for inner in numbered}
    assert {child for detail in details for child in children(detail)} <= known


def test_of_what_failed_the_log_is_that_of_the_newest_try_of_its_pod() -> None:
    for name, step, node in [
        ("champion-failed", "champion", "demand-forecaster-mtk68-2389306650"),
        ("refused", "register", "demand-forecaster-jpf6q-3602013275"),
        ("oom", "train", "demand-forecaster-cr79d-3710383530"),
    ]:
        (pod,) = failed_pods(workflow_nodes(recorded(name)), shown(name).steps)
        assert (pod.step, pod.node) == (step, node)
    (pod,) = failed_pods(
        workflow_nodes(recorded("no-template-defaults-retry")), shown("no-template-defaults-retry", "ok", "boom").steps
    )
    assert pod.node == "g6-54r6d-313189890", "executor(1), not executor(0)"


def test_a_run_that_failed_before_its_first_step_has_the_log_of_the_driver_of_all() -> None:
    run = recorded("terminated-end")
    (pod,) = failed_pods(workflow_nodes(run), shown("terminated-end").steps)
    assert pod == type(pod)("", workflow_nodes(run).node_id("hello-nmkjv(0).root-driver(0)"))


def test_a_step_takes_what_its_pod_took() -> None:
    seconds = {step.name: step.seconds for step in shown("succeeded-cached").steps}
    assert seconds == {"preprocess": 0, "train": 0, "champion": 7, "evaluate": 30, "register": 15, "deploy": 14}


def test_a_wait_for_a_machine_is_no_work() -> None:
    """The recorded evaluate, as it would be told if its pod had waited for twenty minutes."""
    run = recorded("succeeded-cached")
    details = [detail for detail in run["run_details"]["task_details"] if detail["start_time"] < "2026-12-01T08:38"]
    for detail in details:
        if detail.get("display_name") == "executor(0)" and detail["end_time"].endswith("08:37:51Z"):
            detail["end_time"] = "2026-12-01T08:57:51Z"
            detail["state_history"][1]["update_time"] = "2026-12-01T08:57:21Z"
        if detail["end_time"].endswith("08:38:01Z"):
            detail["end_time"] = "2026-12-01T08:58:01Z"
    run["run_details"]["task_details"] = details
    step = remote_run(run, STEPS, "m", "https://kubeflow.example.org").steps[3]
    assert (step.name, step.seconds) == ("evaluate", 30)


def test_a_step_whose_pod_does_not_start_is_running_and_says_since_when_nothing_has() -> None:
    waits = {step.name: step.waits_since for step in shown("of-deleted-recurring").steps}
    assert waits == {**dict.fromkeys(STEPS, ""), "register": "2026-12-01T09:06:30Z"}
    assert all(not step.waits_since for step in shown("pod-killed").steps)


@pytest.mark.parametrize(
    ("node", "step", "template"),
    [("preprocess-driver", "preprocess", "container"), ("train-driver", "train", "container"),
     ("root-driver", "preprocess", "dag")],
)  # fmt: skip
def test_a_driver_that_does_not_start_is_a_wait_of_its_step(node: str, step: str, template: str) -> None:
    """A recorded run, at the moment in which the driver's pod was asked for."""
    run = recorded("succeeded-cached")
    details = run["run_details"]["task_details"]
    asked = next(detail["start_time"] for detail in details if detail.get("display_name") == node)
    for detail in details:
        if detail["start_time"] > asked or (detail["start_time"] == asked and detail.get("display_name") == step):
            detail["display_name"] = ""
        elif detail.get("display_name") == f"{node}(0)":
            detail |= {"state": "PENDING", "end_time": "0001-01-01T00:00:00Z"}
        elif detail["end_time"] > asked:
            detail |= {"state": "RUNNING", "end_time": "0001-01-01T00:00:00Z"}
    run["state"] = "RUNNING"
    steps = remote_run(run, STEPS, "m", "https://kubeflow.example.org").steps
    assert {step.name: step.waits_since for step in steps if step.waits_since} == {step: asked}
    nodes = workflow_nodes(run)
    path = f"{nodes.root.rpartition('.')[0]}.root-driver(0)" if template == "dag" else f"{nodes.root}.{node}(0)"
    number = nodes.node_id(path).rpartition("-")[2]
    assert waiting_pod(nodes, step) == f"demand-forecaster-lt6l8-system-{template}-driver-{number}"


def test_a_run_that_nothing_runs_any_more_is_over() -> None:
    run = shown("of-deleted-recurring", gone=True)
    assert run.state == "cancelled"
    assert [step.state for step in run.steps[-2:]] == ["cancelled", "skipped"]
