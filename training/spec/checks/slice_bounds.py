"""The check of a metric in groups of test rows."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.checks.check import QualityCheck, SpecContext


class SliceCheck(QualityCheck):
    """The metric in every group of rows with the same value of a column."""

    kind: Literal["slice"]
    column: str
    """A column of the test rows with few values."""
    metric: str
    max: float | None = None
    min: float | None = None
    champion_margin: Annotated[float, Field(gt=-1, lt=10)] | None = None
    """How much worse than the champion, relatively, a slice may be."""
    min_rows: Annotated[int, Field(ge=1)] = 30
    """Slices with fewer rows are listed but not judged."""
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.max, self.min, self.champion_margin)) != 1:
            raise ValueError("give exactly one of max, min and champion_margin")
        return self

    def require_fit(self, field: str, context: SpecContext) -> None:
        super().require_fit(field, context)
        context.require_metric(f"{field}.metric", self.metric)
