"""The task details of a run, with the nodes and ids that Kubeflow Pipelines 2.17.0 gives them (tests/recorded)."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.backends.kubeflow.workflow_nodes import fnv_1a

Entry = dict[str, Any]
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
NOT_YET = "0001-01-01T00:00:00Z"
STEP_S, STEP_APART_S = 42, 60


@dataclass
class Tree:
    """Nodes of a workflow as they are made, each with its try, since 2.17.0 retries every template."""

    run: Entry
    details: list[Entry] = field(default_factory=list)

    @property
    def workflow(self) -> str:
        return f"{self.run['display_name'][:30]}-x7k2p"

    def node_id(self, path: str) -> str:
        return f"{self.workflow}-{fnv_1a(path)}"

    def retried(self, path: str, state: str, child: str = "", began: int = 0) -> None:
        """A node and its only try. child: what is below the try."""
        self.add(path, state, f"{path}(0)", began)
        self.add(f"{path}(0)", state, child, began)

    def add(self, path: str, state: str, child: str = "", began: int = 0) -> None:
        ended = state not in ("PENDING", "RUNNING")
        begin, end = START + timedelta(seconds=began), START + timedelta(seconds=began + STEP_S)
        detail = {
            "run_id": self.run["run_id"],
            "task_id": str(uuid.uuid4()),
            "display_name": path.rpartition(".")[2],
            "create_time": self.run["created_at"],
            "start_time": text(begin),
            "end_time": text(end) if ended else NOT_YET,
            "state_history": [{"update_time": text(begin)}],
        }
        if state != "OMITTED":  # such a node has no state
            detail["state"] = detail["state_history"][0]["state"] = state
        if child:
            detail["child_tasks"] = [{"pod_name": self.node_id(child)}]
        self.details.append(detail)

    def add_execution(self, began: int) -> None:
        """What ML Metadata knows of a cached step, which comes as an entry without a name."""
        begin, end = START + timedelta(seconds=began), START + timedelta(seconds=began + STEP_S)
        times = {"create_time": text(begin), "start_time": text(begin), "end_time": text(end)}
        self.details.append({"run_id": self.run["run_id"], "task_id": str(uuid.uuid4()), **times, "execution_id": "17"})


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def put_steps(run: Entry, steps: dict[str, str], state: str) -> dict[str, str]:
    """Put a run into a state, with the nodes that its workflow has then. Gives the id of each step's pod.

    steps: state of each that has begun: "CACHED" for one that the cache answered, "PENDING" for one whose pod waits,
    "DRIVER FAILED" for one that its driver kept from beginning.
    """
    tree = Tree(run)
    workflow, pods = f"{tree.workflow}(0)", {}
    shown = "FAILED" if state == "CANCELED" else state
    tree.retried(tree.workflow, shown, f"{workflow}.root-driver")
    tree.retried(f"{workflow}.root-driver", "SUCCEEDED", f"{workflow}.root")
    root = f"{workflow}.root"
    tree.retried(root, shown, f"{root}(0).{next(iter(steps), 'preprocess')}-driver")
    for number, (step, told) in enumerate(steps.items()):
        path, began = f"{root}(0).{step}", number * STEP_APART_S
        driver = {"SKIPPED": "OMITTED", "DRIVER FAILED": "FAILED"}.get(told, "SUCCEEDED")
        tree.retried(f"{path}-driver", driver, path, began)
        if told == "DRIVER FAILED":
            pods[step] = tree.node_id(f"{path}-driver(0)")
            continue
        if told == "SKIPPED":
            tree.add(path, "OMITTED", began=began)
            continue
        node = {"CACHED": "SUCCEEDED", "PENDING": "RUNNING"}.get(told, told)
        tree.retried(path, node, f"{path}(0).executor", began)
        pods[step] = tree.node_id(f"{path}(0).executor(0)")
        if told == "CACHED":
            tree.add(f"{path}(0).executor", "SKIPPED", began=began)
            tree.add_execution(began)
        else:
            tree.add(f"{path}(0).executor", node, f"{path}(0).executor(0)", began)
            tree.add(f"{path}(0).executor(0)", told, began=began)
    before = ["RUNNING", "CANCELING"] if state == "CANCELED" else ["RUNNING"]
    run["state"] = shown
    run["state_history"] = [{"update_time": text(START), "state": one} for one in ["PENDING", *before, shown]]
    run["run_details"] = {"task_details": sorted(tree.details, key=lambda detail: detail["task_id"])}
    return pods


def step_log(last: str) -> str:
    """A log of a step that ended with an exception, as the launcher of 2.17.0 writes it. last: the exception."""
    return (
        "I1201 08:47:54.833356      16 main.go:67] Setting log level to: '1'\n"
        "[KFP Executor 2026-12-01 08:47:55,322 INFO]: Got executor_input:\n{\n}\n"
        'Traceback (most recent call last):\n  File "/workspace/components/steps.py", line 93, in step\n    step()\n'
        f"{last}\n"
        "E1201 08:47:55.716584      16 launcher_v2.go:449] Component failed to execute successfully: exit status 1\n"
        "F1201 08:47:55.740379      16 main.go:59] failed to execute component: exit status 1\n"
    )
