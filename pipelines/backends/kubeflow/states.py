"""What Kubeflow's API tells of a run, as we tell it.

A step is a node of the run's workflow, with a driver before it and an executor in it, which is skipped where the driver
found the outputs in the cache. The API hands out no output parameters, no exit codes and no reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from pipelines.backends.kubeflow.workflow_nodes import Detail, WorkflowNodes, has_come
from pipelines.backends.remote import ENDED, RemoteRun, State, StepState

_STATES: dict[str, State] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "SKIPPED": "skipped",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}
REPORTED_S = 30
"""Kubeflow notes states some 10 s apart, so that a wait for a node is told from work only if it is longer than this."""


def run_state(run: dict[str, Any]) -> State:
    """Of a run; pending for a state that is not known.

    A run that was cancelled is FAILED for ever: what tells it is the CANCELING before that.
    """
    state = _STATES.get(run.get("state") or "", "pending")
    history = [entry.get("state") for entry in run.get("state_history") or []]
    before = next((entry for entry in reversed(history) if entry not in (None, "FAILED")), None)
    return "cancelled" if state == "failed" and before == "CANCELING" else state


@dataclass(frozen=True)
class FailedPod:
    """A pod whose log says why a run failed. step: "" for what comes before all steps."""

    step: str
    node: str
    """Id of the pod's node."""


def remote_run(
    run: dict[str, Any],
    steps: Sequence[str],
    model: str,
    endpoint: str,
    *,
    new: bool = False,
    gone: bool = False,
    note: str = "",
) -> RemoteRun:
    """A run as the API has it. steps: names in the pipeline's order. gone: its workflow is not there any more."""
    link = f"{endpoint.rstrip('/')}/#/runs/details/{run['run_id']}"
    state = "cancelled" if gone else run_state(run)
    step_list = step_states(workflow_nodes(run), steps, state, link)
    message = (run.get("error") or {}).get("message", "")
    return RemoteRun(
        run=run.get("display_name") or run["run_id"],
        id=run["run_id"],
        model=model,
        state=state,
        link=link,
        steps=step_list,
        decision="pass" if _is_registered(step_list) else "",
        message="; ".join(part for part in (message, note) if part),
        created=run.get("created_at") or "",
        new=new,
    )


def workflow_nodes(run: dict[str, Any]) -> WorkflowNodes:
    return WorkflowNodes((run.get("run_details") or {}).get("task_details") or [])


def step_states(nodes: WorkflowNodes, steps: Sequence[str], run: State, link: str) -> tuple[StepState, ...]:
    """The steps in order; a wait before all of them is the first one's."""
    states = [_step_state(nodes, step, run, link) for step in steps]
    driver = nodes.find(_root_driver(nodes), nodes.root)
    if states and driver and run not in ENDED and all(step.state == "pending" for step in states):
        waits_since = _waits_since(nodes.tries_within(_root_driver(nodes), driver))
        states[0] = replace(states[0], waits_since=waits_since)
    return tuple(states)


def failed_pods(nodes: WorkflowNodes, steps: Sequence[StepState]) -> list[FailedPod]:
    """The pods that ended a run: executors, else drivers of steps that failed, else the driver of all."""
    failed = [FailedPod(step.name, _failed_pod(nodes, step.name)) for step in steps if step.state == "failed"]
    driver = nodes.find(_root_driver(nodes), nodes.root)
    if not failed and driver and driver.get("state") == "FAILED":
        return [FailedPod("", nodes.node_id(nodes.newest_try(_root_driver(nodes))))]
    return failed


def _failed_pod(nodes: WorkflowNodes, step: str) -> str:
    """Id of the node of the pod that failed."""
    path = f"{nodes.root}.{step}"
    node = nodes.find(path, f"{path}.executor")
    pod = f"{nodes.newest_try(path)}.executor" if _has_begun(node) else f"{path}-driver"
    return nodes.node_id(nodes.newest_try(pod))


def waiting_pod(nodes: WorkflowNodes, step: str) -> str:
    """Name of the pod that a step waits for, its own or a driver's, as Argo makes it: of the workflow, the template
    that KFP compiles, and the id."""
    path = f"{nodes.root}.{step}"
    pod, template = f"{nodes.newest_try(path)}.executor", "system-container-impl"
    if not _has_begun(nodes.find(path, f"{path}.executor")):
        driver = nodes.find(f"{path}-driver", path)
        pod, template = (
            (f"{path}-driver", "system-container-driver") if driver else (_root_driver(nodes), "system-dag-driver")
        )
    return f"{nodes.workflow}-{template}-{nodes.node_id(nodes.newest_try(pod)).rpartition('-')[2]}"


def _root_driver(nodes: WorkflowNodes) -> str:
    """Path of what comes before all steps."""
    return f"{nodes.newest_try(nodes.workflow)}.root-driver"


def _step_state(nodes: WorkflowNodes, step: str, run: State, link: str) -> StepState:
    path = f"{nodes.root}.{step}"
    node = nodes.find(path, f"{path}.executor")
    driver = nodes.find(f"{path}-driver", path)
    if node is None or not _has_begun(node):
        state = _before_it_began(driver, run)
        tries = nodes.tries_within(f"{path}-driver", driver) if driver and state in ("running", "pending") else []
        return StepState(step, state, link, waits_since=_waits_since(tries))
    state = _STATES.get(node["state"], "pending")
    pod = f"{nodes.newest_try(path)}.executor"
    executor = nodes.find(pod, began=node.get("start_time")) or {}
    if executor.get("state") == "SKIPPED":
        return StepState(step, "cached", link, seconds=0.0)
    if run == "cancelled" and state in ("failed", "running", "pending"):
        state = "cancelled"
    tries = nodes.tries_within(pod, executor or node)
    return StepState(
        step,
        state,
        link,
        seconds=_seconds(tries[0] if len(tries) == 1 else executor or node),
        waits_since=_waits_since(tries) if state == "running" else "",
    )


def _has_begun(node: Detail | None) -> bool:
    """A node that is left out has no state."""
    return bool(node) and node.get("state") not in (None, "RUNTIME_STATE_UNSPECIFIED")


def _before_it_began(driver: Detail | None, run: State) -> State:
    state = (driver or {}).get("state")
    if state in ("FAILED", "RUNNING", "PENDING", "CANCELED"):
        return "cancelled" if run == "cancelled" else _STATES[state]
    return "skipped" if run in ENDED else "pending"


def _waits_since(tries: list[Detail]) -> str:
    """Since when a step has no pod that runs; "" where it has one. The pods may be of several steps."""
    open_tries = [detail for detail in tries if not has_come(detail.get("end_time"))]
    if not open_tries or any(detail.get("state") != "PENDING" for detail in open_tries):
        return ""
    return min(detail.get("start_time") or "" for detail in open_tries)


def _seconds(node: Detail) -> float | None:
    """What a pod took, without its wait for a machine as far as that is told."""
    if not (has_come(node.get("start_time")) and has_come(node.get("end_time"))):
        return None
    begin, end = (datetime.fromisoformat(node[name]) for name in ("start_time", "end_time"))
    for before, after in pairwise(node.get("state_history") or []):
        seen = datetime.fromisoformat(after["update_time"])
        if before.get("state") == "PENDING" and after.get("state") == "RUNNING" and _apart(begin, seen) > REPORTED_S:
            begin = seen
    return round(max(0.0, _apart(begin, end)), 3)


def _apart(first: datetime, second: datetime) -> float:
    return (second - first).total_seconds()


def _is_registered(steps: Sequence[StepState]) -> bool:
    """Register refuses a verdict that is not a pass, so its success is a pass."""
    return any(step.name == "register" and step.state in ("succeeded", "cached") for step in steps)
