"""A metric in every group of rows with the same value of a column."""

import math

from components.evaluate.checks.demand import Demand, one_bound
from components.evaluate.checks.worse import format_worse, worse_allowed
from components.evaluate.shared.compare import metric_unit, worse_by
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import short
from delivery.documents.verdict import CheckResult, SliceResult
from training.spec import SliceCheck, Task


def evaluate_slice(check: SliceCheck, measured: Measured) -> CheckResult:
    """The worst slice with enough rows, by its exact value; ``observed`` is what was compared there."""
    scored, demand = measured.scored, _demand(check, measured.scored.unit)
    slices = scored.slices[check.column, check.metric]
    judged = [slice_ for slice_ in slices if slice_.rows >= check.min_rows]
    if check.champion_margin is not None and scored.champion is None:
        return demand.not_applicable()
    if not judged:
        return demand.not_applicable(
            f"No value of {check.column} has {check.min_rows} rows on which {check.metric} is defined."
        )
    sign = 1 if demand.comparison == "<=" else -1
    values = [_compared_value(check, slice_, scored.task) for slice_ in judged]
    worst_value, worst = max(zip(values, judged, strict=True), key=lambda pair: sign * pair[0])
    broken = sum(sign * value > sign * demand.bound for value in values)
    tally = (
        f"{broken} of {len(judged)} judged slices break the bound" if broken else "Every judged slice keeps the bound"
    )
    few = len(slices) - len(judged)
    aside = f"; {few} with fewer than {check.min_rows} rows not judged" if few else ""
    return demand.result(
        worst_value if math.isfinite(worst_value) else None,
        f"{tally}{aside}. The worst is {check.column} = {worst.value}: {_limit(check, demand, worst_value)}.",
        "failed" if broken else "passed",
    )


def _demand(check: SliceCheck, unit: str) -> Demand:
    name = f"{check.metric} by {check.column}"
    if check.champion_margin is not None:
        return Demand(check, f"{name} against champion", check.champion_margin, "<=", "relative", check.metric)
    return Demand(check, name, *one_bound(check.max, check.min), metric_unit(check.metric, unit), check.metric)


def _compared_value(check: SliceCheck, slice_: SliceResult, task: Task) -> float:
    if check.champion_margin is None:
        return abs(slice_.candidate) if check.metric == "bias" else slice_.candidate
    assert slice_.champion is not None
    return float(worse_by(check.metric, task, slice_.candidate, slice_.champion))


def _limit(check: SliceCheck, demand: Demand, worst: float) -> str:
    if check.champion_margin is not None:
        return f"{check.metric} {format_worse(worst)}; {worse_allowed(check.champion_margin)}"
    words = ("at most", "allowed") if demand.comparison == "<=" else ("at least", "demanded")
    return f"{check.metric} {short(worst)}; {words[0]} {short(demand.bound)} is {words[1]}"
