"""The checks of a quality spec, each turned into one line of the verdict.

A check that can't be judged is never passed: without a champion it is "not applicable", and everything else that
is missing (a metric that is not defined, probabilities that a model does not give) is an error.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from components.evaluate.checks.answers import (
    judge_check,
    judge_forbidden,
    judge_format,
    judge_length,
    judge_refusals,
)
from components.evaluate.checks.served import (
    judge_cold_start,
    judge_first_token,
    judge_latency,
    judge_servable,
    judge_size,
    judge_throughput,
)
from components.evaluate.shared.bootstrap import interval
from components.evaluate.shared.compare import metric_unit, value_of, worse_by
from components.evaluate.shared.scored import Evidence
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, DriftResult, ServingProof, SliceResult
from training.spec.model import (
    AbsoluteCheck,
    ColdStartCheck,
    DriftCheck,
    FirstTokenCheck,
    ForbiddenCheck,
    FormatCheck,
    JudgeCheck,
    LatencyCheck,
    LengthCheck,
    QualitySpec,
    RefusalCheck,
    RelativeCheck,
    ServableCheck,
    SizeCheck,
    SliceCheck,
    Task,
    ThroughputCheck,
)


def decide(checks: Sequence[CheckResult]) -> Literal["pass", "reject"]:
    """Reject if a required check failed, or if nobody could decide it."""
    return "reject" if any(check.refuses for check in checks) else "pass"


def judge(quality: QualitySpec, evidence: Evidence, served: ServingProof) -> tuple[CheckResult, ...]:
    """Every check of the spec in its order, and the one that every verdict has.

    Raises InputError for a metric that is not defined on these rows.
    """
    results: list[CheckResult] = []
    named = quality.servable in quality.checks
    for check in (*quality.checks, *(() if named else (quality.servable,))):
        match check:
            case AbsoluteCheck():
                result = _absolute(check, evidence)
            case RelativeCheck():
                result = _relative(check, evidence)
            case SliceCheck():
                result = _slice(check, evidence)
            case DriftCheck():
                result = _drift(check, evidence.drift)
            case LatencyCheck():
                result = judge_latency(check, served)
            case ColdStartCheck():
                result = judge_cold_start(check, served)
            case SizeCheck():
                result = judge_size(check, served)
            case ServableCheck():
                result = judge_servable(served, evidence.task)
            case FormatCheck():
                result = judge_format(check, evidence.answers)
            case ForbiddenCheck():
                result = judge_forbidden(check, evidence.answers)
            case LengthCheck():
                result = judge_length(check, evidence.answers)
            case RefusalCheck():
                result = judge_refusals(check, evidence.answers)
            case FirstTokenCheck():
                result = judge_first_token(check, served)
            case ThroughputCheck():
                result = judge_throughput(check, served)
            case JudgeCheck():
                result = judge_check(check, evidence.judges.get(check.against))
        same = sum(result.name == other.name or other.name.startswith(f"{result.name} (") for other in results)
        results.append(result.model_copy(update={"name": f"{result.name} ({same + 1})"}) if same else result)
    return tuple(results)


def _status(passed: bool) -> Literal["passed", "failed"]:
    return "passed" if passed else "failed"


def _absolute(check: AbsoluteCheck, evidence: Evidence) -> CheckResult:
    """The exact value on all rows against the bound; `bias` by its absolute value."""
    value = value_of(evidence.candidate, check.metric, "the candidate")
    observed = abs(value) if check.metric == "bias" else value
    bound, comparison = _bound(check.max, check.min)
    passed = observed <= bound if comparison == "<=" else observed >= bound
    word = "at most" if comparison == "<=" else "at least"
    demand = f"{word} {short(bound)} is {'allowed' if comparison == '<=' else 'demanded'}"
    what = "The absolute bias" if check.metric == "bias" else check.metric
    unit = metric_unit(check.metric, evidence.unit)
    return CheckResult(
        name=f"{check.metric} {word} {short(bound)}",
        kind="absolute",
        metric=check.metric,
        observed=observed,
        bound=bound,
        comparison=comparison,
        unit=unit,
        status=_status(passed),
        required=check.required,
        reason=f"{what} is {short(observed)}{' ' + unit if unit else ''}; {demand}.",
    )


def _relative(check: RelativeCheck, evidence: Evidence) -> CheckResult:
    """The unfavourable end of the paired interval of :func:`worse_by` against the margin.

    One-sided: only being worse can refuse, however much better the candidate is.
    """
    other = evidence.champion if check.kind == "champion" else evidence.baseline
    common: dict[str, Any] = {
        "name": f"{check.metric} against {check.kind}",
        "kind": check.kind,
        "metric": check.metric,
        "bound": check.margin,
        "comparison": "<=",
        "unit": "relative",
        "required": check.required,
    }
    if other is None:
        assert check.kind == "champion", "the spec refuses a baseline check without a baseline"
        reason = "There is no champion yet, so there is nothing to compare with."
        return CheckResult(**common, observed=None, status="not applicable", reason=reason)
    mine = value_of(evidence.candidate, check.metric, "the candidate")
    theirs = value_of(other, check.metric, f"the {check.kind}")
    point = float(worse_by(check.metric, evidence.task, mine, theirs))
    ends = interval(
        worse_by(
            check.metric, evidence.task, evidence.candidate.resamples[check.metric], other.resamples[check.metric]
        ),
        evidence.confidence,
    )
    head = f"{check.metric} is {short(mine)} against the {check.kind}'s {short(theirs)}: {_worse(point)}"
    if ends is None:
        reason = f"{head}; too few resamples define it, so no interval supports that."
        return CheckResult(**common, observed=None, status="failed", reason=reason)
    reason = (
        f"{head}; with {percent(evidence.confidence)} confidence {_worse(ends[0])} to {_worse(ends[1])}; "
        f"{_allowed(check.margin)}."
    )
    return CheckResult(
        **common,
        observed=ends[1] if math.isfinite(ends[1]) else None,
        status=_status(ends[1] <= check.margin),
        reason=reason,
    )


def _slice(check: SliceCheck, evidence: Evidence) -> CheckResult:
    """The worst slice with enough rows, by its exact value; ``observed`` is what was compared there."""
    relative = check.champion_margin is not None
    bound, comparison = (check.champion_margin, "<=") if relative else _bound(check.max, check.min)
    assert bound is not None
    common: dict[str, Any] = {
        "name": f"{check.metric} by {check.column}" + (" against champion" if relative else ""),
        "kind": "slice",
        "metric": check.metric,
        "bound": bound,
        "comparison": comparison,
        "unit": "relative" if relative else metric_unit(check.metric, evidence.unit),
        "required": check.required,
    }
    found = evidence.slices[check.column, check.metric]
    judged = [one for one in found if one.rows >= check.min_rows]
    if relative and evidence.champion is None:
        reason = "There is no champion yet, so there is nothing to compare with."
        return CheckResult(**common, observed=None, status="not applicable", reason=reason)
    if not judged:
        reason = f"No value of {check.column} has {check.min_rows} rows on which {check.metric} is defined."
        return CheckResult(**common, observed=None, status="not applicable", reason=reason)
    compared = [(_slice_value(check, one, evidence.task), one) for one in judged]
    sign = 1 if comparison == "<=" else -1
    worst_value, worst = max(compared, key=lambda pair: sign * pair[0])
    bad = [one for value, one in compared if sign * value > sign * bound]
    shown = _worse(worst_value) if relative else short(worst_value)
    limit = (
        _allowed(bound)
        if relative
        else f"at {'most' if sign > 0 else 'least'} {short(bound)} is {'allowed' if sign > 0 else 'demanded'}"
    )
    tally = (
        f"{len(bad)} of {len(judged)} judged slices break the bound" if bad else "Every judged slice keeps the bound"
    )
    left = len(found) - len(judged)
    aside = f"; {left} with fewer than {check.min_rows} rows not judged" if left else ""
    return CheckResult(
        **common,
        observed=worst_value if math.isfinite(worst_value) else None,
        status=_status(not bad),
        reason=f"{tally}{aside}. The worst is {check.column} = {worst.value}: {check.metric} {shown}; {limit}.",
    )


def _slice_value(check: SliceCheck, one: SliceResult, task: Task) -> float:
    if check.champion_margin is None:
        return abs(one.candidate) if check.metric == "bias" else one.candidate
    assert one.champion is not None
    return float(worse_by(check.metric, task, one.candidate, one.champion))


def _drift(check: DriftCheck, drift: Sequence[DriftResult]) -> CheckResult:
    common: dict[str, Any] = {
        "name": "drift of the inputs",
        "kind": "drift",
        "bound": check.max_share,
        "comparison": "<=",
    }
    common |= {"unit": "share of columns", "required": check.required}
    if not drift:
        reason = "No input column has a type and values that drift can be measured on."
        return CheckResult(**common, observed=None, status="not applicable", reason=reason)
    moved = [one.column for one in drift if one.drifted]
    share = len(moved) / len(drift)
    names = f" ({', '.join(moved[:5])}{', …' if len(moved) > 5 else ''})" if moved else ""
    reason = (
        f"{len(moved)} of {len(drift)} input columns moved between the training and the test rows{names}: "
        f"{percent(share)}; at most {percent(check.max_share)} is allowed."
    )
    return CheckResult(**common, observed=share, status=_status(share <= check.max_share), reason=reason)


def _bound(most: float | None, least: float | None) -> tuple[float, Literal["<=", ">="]]:
    if most is not None:
        return most, "<="
    assert least is not None, "the spec demands one bound"
    return least, ">="


def _worse(value: float) -> str:
    """``-0.046`` as "4.6 % better"."""
    if math.isinf(value):
        return "infinitely better" if value < 0 else "infinitely worse (the other is perfect)"
    return "equal" if value == 0 else f"{percent(abs(value))} {'better' if value < 0 else 'worse'}"


def _allowed(margin: float) -> str:
    if margin < 0:
        return f"at least {percent(-margin)} better is demanded"
    return f"at most {percent(margin)} worse is allowed" if margin > 0 else "no worse is allowed"
