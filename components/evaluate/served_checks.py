"""The checks of the served model: that it answers as it was judged, how fast, how soon, and how large it is."""

from typing import Literal

from components.evaluate.wording import percent, short
from components.evidence import CheckResult, ServingProof
from training.spec import ColdStartCheck, LatencyCheck, SizeCheck, Task


def judge_servable(served: ServingProof, task: Task) -> CheckResult:
    """Always required: what the runtime can't answer as it was judged does not go live."""
    bound, worst = served.tolerance, served.worst_difference
    passed = worst is not None and worst <= bound
    if worst is None:
        reason = f"{served.runtime} does not serve it: {served.failure}"
    else:
        asked = f"{served.ran} loaded it in a fresh process and answered {served.rows:,} test rows over {_over(served)}"
        reason = f"{asked} {_agreement(worst, bound, task)}."
    return CheckResult(
        name="served as judged",
        kind="servable",
        observed=worst,
        bound=bound,
        comparison="<=",
        unit="",
        status=_status(passed),
        required=True,
        reason=reason,
    )


def _agreement(worst: float, bound: float, task: Task) -> str:
    if task == "classification":
        if worst == 0:
            return "with the classes that it was judged by"
        return f"with another class in {percent(worst)} of them than it was judged by; none is allowed"
    if worst == 0:
        return "exactly as it was judged"
    if worst <= bound:
        return f"as it was judged: the largest relative difference is {short(worst)}, at most {bound:g} is allowed"
    return f"otherwise than it was judged: one differs by {short(worst)} of its value; at most {bound:g} is allowed"


def judge_latency(check: LatencyCheck, served: ServingProof) -> CheckResult:
    """Against p99, and against p50 where the check bounds it."""
    found = next((one for one in served.latency if one.concurrency == check.concurrency), None)
    at_a_time = f"{check.concurrency} at a time" if check.concurrency > 1 else "one at a time"
    common = {"name": f"latency, {at_a_time}", "kind": "latency", "unit": "ms", "required": check.required}
    if found is None:
        return _not_measured(common, check.max_p99_ms, served)
    half = "" if check.max_p50_ms is None else f", half at most {short(check.max_p50_ms)} ms"
    return CheckResult(
        **common,
        observed=found.p99_ms,
        bound=check.max_p99_ms,
        comparison="<=",
        status=_status(
            found.p99_ms <= check.max_p99_ms and (check.max_p50_ms is None or found.p50_ms <= check.max_p50_ms)
        ),
        reason=f"99 of 100 one-row requests over {_over(served)} took at most {short(found.p99_ms)} ms, half of them "
        f"{short(found.p50_ms)} ms ({found.calls} requests, {at_a_time}); at most {short(check.max_p99_ms)} ms is "
        f"allowed{half}.",
    )


def judge_cold_start(check: ColdStartCheck, served: ServingProof) -> CheckResult:
    common = {"name": "cold start", "kind": "cold_start", "unit": "s", "required": check.required}
    if served.cold_start_s is None:
        return _not_measured(common, check.max_s, served)
    return CheckResult(
        **common,
        observed=served.cold_start_s,
        bound=check.max_s,
        comparison="<=",
        status=_status(served.cold_start_s <= check.max_s),
        reason=f"The first answer came {short(served.cold_start_s)} s after the start of the process; "
        f"at most {short(check.max_s)} s is allowed.",
    )


def judge_size(check: SizeCheck, served: ServingProof) -> CheckResult:
    mib = served.size_bytes / 2**20
    return CheckResult(
        name="model size",
        kind="size",
        observed=mib,
        bound=check.max_mib,
        comparison="<=",
        unit="MiB",
        status=_status(mib <= check.max_mib),
        required=check.required,
        reason=f"The model folder has {short(mib)} MiB; at most {short(check.max_mib)} MiB is allowed.",
    )


def _not_measured(common: dict, bound: float, served: ServingProof) -> CheckResult:
    """A bound on something that could not be measured is not kept."""
    assert served.failure, "a served model has every figure that a check asks for"
    reason = f"It could not be measured, since {served.runtime} does not serve the model."
    return CheckResult(**common, observed=None, bound=bound, comparison="<=", status="failed", reason=reason)


def _over(served: ServingProof) -> str:
    return f"protocol {served.protocol.upper()}"


def _status(passed: bool) -> Literal["passed", "failed"]:
    return "passed" if passed else "failed"
