"""What every kind of check has in a spec: the answers that it is for, and how it fits the rest of the spec."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from training.errors import did_you_mean
from training.spec.generation import JudgeSpec
from training.spec.section import Section
from training.spec.tasks import TASKS, Answers, Task


@dataclass(frozen=True)
class SpecContext:
    """The rest of the spec, as far as checks depend on it."""

    task: Task
    has_baseline: bool
    judge: JudgeSpec | None
    earlier: "Sequence[QualityCheck]" = ()
    """The checks above this one."""

    @property
    def answers(self) -> Answers:
        return TASKS[self.task].answers

    def require_metric(self, field: str, metric: str) -> None:
        """Raises ValueError for a metric that the task does not have."""
        known = TASKS[self.task].metrics
        if metric not in known:
            raise ValueError(f"{field} is {metric!r}, no metric of {self.task}. {did_you_mean(metric, known)}")


class QualityCheck(Section):
    """Base of every kind of check."""

    answers: ClassVar[tuple[Answers, ...]] = ("numbers", "classes", "texts")
    """Of the tasks that have this check."""
    replacement: ClassVar[str] = "leave it out"
    """What to do in the spec of another task."""

    kind: Any  # A literal in each kind; pyright takes no narrower type for a field that it thinks mutable.

    def require_fit(self, field: str, context: SpecContext) -> None:
        """Raises ValueError where the check does not fit the rest of the spec. field: such as `quality.checks.0`."""
        if context.answers not in self.answers:
            raise ValueError(f"{field} is of kind {self.kind}, which does not fit {context.task}; {self.replacement}")
