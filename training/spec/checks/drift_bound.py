"""The check of how far the inputs moved."""

from typing import ClassVar, Literal

from training.spec.checks.check import QualityCheck
from training.spec.metrics import Task
from training.spec.section import Share


class DriftCheck(QualityCheck):
    """Share of input columns whose distribution moved between the training rows and the test rows."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression", "classification")
    kind: Literal["drift"]
    max_share: Share
    required: bool = True
