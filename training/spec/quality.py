"""The part of a spec that says when a candidate is good enough: metrics, checks, baseline."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.checks.kinds import Check
from training.spec.checks.serving_bounds import ServableCheck
from training.spec.generation import BaseModelSpec, Decoding, JudgeSpec
from training.spec.section import Section


class Baseline(Section):
    """What anyone could do without a model; it has its own row in the verdict."""

    kind: Literal["column", "mean", "majority", "base_model"]
    """`column`: predict the value of a column (seasonal naive is a lag of the target); `mean` and `majority`: of the
    training rows' target; `base_model`: a language model's base, not fine-tuned, with the candidate's prompt."""
    column: str | None = None
    name: str = ""
    """How the verdict calls it, such as `seasonal naive`."""

    @model_validator(mode="after")
    def _column_given(self) -> Self:
        if (self.kind == "column") != (self.column is not None):
            raise ValueError("a baseline of kind column needs a column, the others take none")
        return self


class QualitySpec(Section):
    """When a candidate is good enough to replace the champion."""

    metric: str
    """The metric of record: the headline of every report."""
    baseline: Baseline | None = None
    checks: tuple[Check, ...] = Field(min_length=1)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the bootstrap intervals."""
    sample_rows: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    """Cap of the seeded sample that the Evidently report sees; headline metrics always use every row."""
    decoding: Decoding = Decoding()
    """Of a language model."""
    similarity: BaseModelSpec | None = None
    """The sentence encoder behind the metric `similarity`."""
    judge: JudgeSpec | None = None
    """The language model behind a check of kind `judge`."""

    @property
    def servable(self) -> ServableCheck:
        """The one check that every verdict has."""
        return next(
            (check for check in self.checks if isinstance(check, ServableCheck)), ServableCheck(kind="servable")
        )

    @model_validator(mode="after")
    def _servable_once(self) -> Self:
        if sum(isinstance(check, ServableCheck) for check in self.checks) > 1:
            raise ValueError("checks: servable is named twice; name it once")
        return self
