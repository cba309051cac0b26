"""The nodes of a run's Argo workflow, found among the details of its tasks by their place in the tree.

The API gives a detail the name of its node, which several nodes bear, and the ids of its children, not its own. An id
is the workflow's name and a hash of the node's path: so in all runs recorded of Kubeflow Pipelines 2.17.0 with Argo
Workflows 4.0.5. Where the cluster retries every template, as 2.17.0 does, a node `NAME` has its tries `NAME(0)`,
`NAME(1)`, … below it, and those have the rest of the tree.
"""

from typing import Any

Detail = dict[str, Any]
MOST_TRIES = 32
"""Of one node that are looked for; a step has at most 11, the cluster's default is 3."""


class WorkflowNodes:
    """The nodes of one run."""

    def __init__(self, details: list[Detail]) -> None:
        self._details = [detail for detail in details if detail.get("display_name")]
        self._ids = {child for detail in self._details for child in children(detail)}
        self.workflow = min(self._ids).rpartition("-")[0] if self._ids else ""
        self.root = self.newest_try(f"{self.newest_try(self.workflow)}.root")
        """Path of what holds the steps."""
        self._drivers_and_steps = {self.node_id(f"{self.root}.{detail['display_name']}") for detail in self._details}

    def node_id(self, path: str) -> str:
        return f"{self.workflow}-{fnv_1a(path)}"

    def newest_try(self, path: str) -> str:
        """Path of the newest try of a node; the node's own where it is not retried."""
        tries = [trial for trial in self._tries(path) if self.node_id(trial) in self._ids]
        return tries[-1] if tries else path

    def find(self, path: str, child: str = "", began: str | None = None) -> Detail | None:
        """The detail of the node at a path, None where there is none.

        child: path of a child that the node has where it is not retried. began: when a pod, or one that is not needed,
        started; nothing is below those by which they are known, but what runs after them.
        """
        name = path.rpartition(".")[2]
        named = [detail for detail in self._details if detail["display_name"] == name]
        below = {self.node_id(trial) for trial in (*self._tries(path), child)}
        own = [detail for detail in named if below.intersection(children(detail))]
        leaves = [
            detail
            for detail in named
            if self._drivers_and_steps.issuperset(children(detail)) and began in (None, detail.get("start_time"))
        ]
        return max(own or leaves, key=lambda detail: detail.get("start_time") or "", default=None)

    def tries_within(self, path: str, node: Detail) -> list[Detail]:
        """Details that may be the newest try of a node, whose own detail is given: a pod has no id of its own."""
        name = self.newest_try(path).rpartition(".")[2]
        start, end = node.get("start_time") or "", node.get("end_time") or ""
        last = end if has_come(end) else "9999"
        return [
            detail
            for detail in self._details
            if detail["display_name"] == name and start <= (detail.get("start_time") or "") <= last
        ]

    def _tries(self, path: str) -> list[str]:
        return [f"{path}({number})" for number in range(MOST_TRIES)]


def children(detail: Detail) -> list[str]:
    """Ids of a node's children."""
    return [child["pod_name"] for child in detail.get("child_tasks") or [] if child.get("pod_name")]


def has_come(time: str | None) -> bool:
    """Whether a time of the API's has come: it says that one has not with the epoch, or the year 1."""
    return bool(time) and int(str(time)[:4]) > 1970


def fnv_1a(text: str) -> int:
    """FNV-1a of 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/#FNV-1a."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
