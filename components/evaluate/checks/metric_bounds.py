"""A metric on all test rows against a number, and against champion or baseline."""

import math

from components.evaluate.checks.demand import Demand, one_bound
from components.evaluate.checks.worse import format_worse, worse_allowed
from components.evaluate.shared.bootstrap import interval
from components.evaluate.shared.compare import metric_unit, value_of, worse_by
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult
from training.spec import AbsoluteCheck, RelativeCheck


def evaluate_absolute(check: AbsoluteCheck, measured: Measured) -> CheckResult:
    """The exact value on all rows against the bound; `bias` by its absolute value."""
    value = value_of(measured.scored.candidate, check.metric, "the candidate")
    observed = abs(value) if check.metric == "bias" else value
    bound, comparison = one_bound(check.max, check.min)
    word = "at most" if comparison == "<=" else "at least"
    unit = metric_unit(check.metric, measured.scored.unit)
    demand = Demand(check, f"{check.metric} {word} {short(bound)}", bound, comparison, unit, check.metric)
    subject = "The absolute bias" if check.metric == "bias" else check.metric
    limit = f"{word} {short(bound)} is {'allowed' if comparison == '<=' else 'demanded'}"
    return demand.result(observed, f"{subject} is {short(observed)}{' ' + unit if unit else ''}; {limit}.")


def evaluate_relative(check: RelativeCheck, measured: Measured) -> CheckResult:
    """The unfavourable end of the paired interval of :func:`worse_by` against the margin.

    One-sided: only being worse can refuse, however much better the candidate is.
    """
    scored, metric = measured.scored, check.metric
    other = scored.champion if check.kind == "champion" else scored.baseline
    demand = Demand(check, f"{metric} against {check.kind}", check.margin, "<=", "relative", metric)
    if other is None:
        assert check.kind == "champion", "the spec refuses a baseline check without a baseline"
        return demand.not_applicable()
    mine = value_of(scored.candidate, metric, "the candidate")
    theirs = value_of(other, metric, f"the {check.kind}")
    point = float(worse_by(metric, scored.task, mine, theirs))
    resamples = worse_by(metric, scored.task, scored.candidate.resamples[metric], other.resamples[metric])
    ends = interval(resamples, scored.confidence)
    opening = f"{metric} is {short(mine)} against the {check.kind}'s {short(theirs)}: {format_worse(point)}"
    if ends is None:
        return demand.result(None, f"{opening}; too few resamples define it, so no interval supports that.", "failed")
    reason = (
        f"{opening}; with {percent(scored.confidence)} confidence {format_worse(ends[0])} to {format_worse(ends[1])}; "
        f"{worse_allowed(check.margin)}."
    )
    observed = ends[1] if math.isfinite(ends[1]) else None
    return demand.result(observed, reason, "passed" if ends[1] <= check.margin else "failed")
