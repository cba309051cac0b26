"""A check's line of the verdict: what is demanded, and what comes of it."""

from dataclasses import dataclass
from typing import Any, Literal

from delivery.documents.verdict import CheckResult

Comparison = Literal["<=", ">="]
Status = Literal["passed", "failed", "undecided", "not applicable"]
NO_CHAMPION = "There is no champion yet, so there is nothing to compare with."


@dataclass(frozen=True)
class Demand:
    """The line before anything was observed."""

    check: Any
    """Of the spec."""
    name: str
    bound: float
    comparison: Comparison
    unit: str = ""
    """`relative` for worse by a share, `share of …` for a share, else the unit of observed and bound."""
    metric: str = ""

    def result(self, observed: float | None, reason: str, status: Status | None = None) -> CheckResult:
        """status: unless given, whether the observed value keeps the bound."""
        if status is None:
            assert observed is not None
            kept = observed <= self.bound if self.comparison == "<=" else observed >= self.bound
            status = "passed" if kept else "failed"
        return CheckResult(
            name=self.name,
            kind=self.check.kind,
            metric=self.metric,
            observed=observed,
            bound=self.bound,
            comparison=self.comparison,
            unit=self.unit,
            status=status,
            required=getattr(self.check, "required", True),
            reason=reason,
        )

    def not_applicable(self, reason: str = NO_CHAMPION) -> CheckResult:
        """Nothing to compare with, which is neither passed nor failed."""
        return self.result(None, reason, "not applicable")


def one_bound(most: float | None, least: float | None) -> tuple[float, Comparison]:
    """Of two bounds the one that a spec gives."""
    if most is not None:
        return most, "<="
    assert least is not None, "the spec demands one bound"
    return least, ">="
