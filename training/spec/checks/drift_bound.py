"""The check of how far the inputs moved."""

from typing import ClassVar, Literal

from training.spec.checks.check import QualityCheck
from training.spec.section import Share
from training.spec.tasks import Answers


class DriftCheck(QualityCheck):
    """Share of input columns whose distribution moved between the training rows and the test rows."""

    answers: ClassVar[tuple[Answers, ...]] = ("numbers", "classes")
    kind: Literal["drift"]
    max_share: Share
    required: bool = True
