"""What Kubeflow's API tells of a run, as we tell it.

The details of a run are the nodes of its Argo workflow: for a step the node itself, its driver, and an executor, which
is skipped where the driver found the outputs in the cache. The API hands out no output parameters.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
_REFUSED = re.compile(r"the gate refused|GateRefused|exit (code|status) 3\b")
"""What register's failure says where checks failed, if the cluster hands it on."""
UNDECIDED = (
    "register failed, and Kubeflow's API does not hand out the verdict: the gate's reasons, if it refused, are in the "
    "log of the step and in the verdict of evaluate"
)


def state_of(text: str | None) -> State:
    """One of ours for a state of the API's; pending for one that is not known."""
    return _STATES.get(text or "", "pending")


def remote_run(
    run: dict[str, Any], steps: Sequence[str], model: str, endpoint: str, *, new: bool = False, note: str = ""
) -> RemoteRun:
    """A run as the API has it. steps: names in the pipeline's order."""
    link = f"{endpoint.rstrip('/')}/#/runs/details/{run['run_id']}"
    state = state_of(run.get("state"))
    details = (run.get("run_details") or {}).get("task_details") or []
    step_list = step_states(details, steps, state, link, endpoint)
    decision, undecided = decision_of(step_list)
    message = (run.get("error") or {}).get("message", "")
    return RemoteRun(
        run=run.get("display_name") or run["run_id"],
        id=run["run_id"],
        model=model,
        state=state,
        link=link,
        steps=step_list,
        decision=decision,
        message="; ".join(part for part in (message, undecided, note) if part),
        created=run.get("created_at") or "",
        new=new,
    )


def step_states(
    details: list[dict[str, Any]], steps: Sequence[str], run: State, link: str, endpoint: str
) -> tuple[StepState, ...]:
    """The steps in order, each from its node, its driver and its executor."""
    nodes = {detail.get("display_name"): detail for detail in details}
    by_pod = {detail["pod_name"]: detail for detail in details if detail.get("pod_name")}
    states: list[StepState] = []
    broken = False
    for name in steps:
        node, driver = nodes.get(name), nodes.get(f"{name}-driver")
        state = _step_state(node, driver, by_pod, run, broken)
        broken = broken or state in ("failed", "cancelled")
        failed = next(
            (detail for detail in (node, driver) if detail and (detail.get("error") or {}).get("message")), None
        )
        execution = str((node or {}).get("execution_id") or "0")
        states.append(
            StepState(
                name=name,
                state=state,
                link=link if execution == "0" else f"{endpoint.rstrip('/')}/#/executions/{execution}",
                message=failed["error"]["message"] if failed else "",
                seconds=_seconds(node),
            )
        )
    return tuple(states)


def _step_state(
    node: dict[str, Any] | None,
    driver: dict[str, Any] | None,
    by_pod: dict[str, dict[str, Any]],
    run: State,
    broken: bool,
) -> State:
    if node is None or node.get("state") in (None, "RUNTIME_STATE_UNSPECIFIED"):
        if driver is not None and driver.get("state") in ("FAILED", "RUNNING", "CANCELED"):
            return state_of(driver["state"])
        return "skipped" if run in ENDED else "pending"
    state = state_of(node["state"])
    if state == "skipped":
        return "skipped" if broken else "cached"
    if state == "succeeded":
        inner = [by_pod.get(child.get("pod_name", "")) for child in node.get("child_tasks") or []]
        if any(executor and executor.get("state") == "SKIPPED" for executor in inner):
            return "cached"
    if state == "failed" and run == "cancelled":
        return "cancelled"
    return state


def decision_of(steps: Sequence[StepState]) -> tuple[str, str]:
    """What the checks said, and what to tell where that can't be known.

    Register refuses a verdict that is not a pass, so its success is a pass. Its failure is a refusal only where its
    message says so: it may have failed for another reason.
    """
    by_name = {step.name: step for step in steps}
    judged, registered = by_name.get("evaluate"), by_name.get("register")
    if registered is None or judged is None or judged.state not in ("succeeded", "cached"):
        return "", ""
    if registered.state in ("succeeded", "cached"):
        return "pass", ""
    if registered.state != "failed":
        return "", ""
    return ("reject", "") if _REFUSED.search(registered.message) else ("", UNDECIDED)


def _seconds(node: dict[str, Any] | None) -> float | None:
    start, end = _time(node, "start_time"), _time(node, "end_time")
    return round((end - start).total_seconds(), 3) if start and end and end >= start else None


def _time(node: dict[str, Any] | None, name: str) -> datetime | None:
    """A moment; None for the epoch, with which the API says that it has not come."""
    text = (node or {}).get(name)
    moment = datetime.fromisoformat(text) if text else None
    return moment if moment and moment.year > 1970 else None
