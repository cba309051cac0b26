"""Checks of a metric on all test rows: against a number, against the champion, against the baseline."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.checks.check import QualityCheck, SpecContext


class AbsoluteCheck(QualityCheck):
    """The candidate's metric, bounded by a number."""

    kind: Literal["absolute"]
    metric: str
    max: float | None = None
    min: float | None = None
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.max is None) == (self.min is None):
            raise ValueError("give exactly one of max and min")
        return self

    def require_fit(self, field: str, context: SpecContext) -> None:
        super().require_fit(field, context)
        context.require_metric(f"{field}.metric", self.metric)


class RelativeCheck(QualityCheck):
    """The candidate against the champion or the baseline, on the same rows.

    Holds when the paired interval's unfavourable end is no worse than the other's value by more than the
    margin: `margin: 0.02` allows 2 % worse, `margin: -0.2` demands 20 % better.
    """

    kind: Literal["champion", "baseline"]
    metric: str
    margin: Annotated[float, Field(gt=-1, lt=10)] = 0.0
    """Relative to the other's value; negative demands an improvement."""
    required: bool = True

    def require_fit(self, field: str, context: SpecContext) -> None:
        super().require_fit(field, context)
        if self.kind == "baseline" and not context.has_baseline:
            raise ValueError(f"{field} is against the baseline, but quality.baseline is missing")
        context.require_metric(f"{field}.metric", self.metric)
