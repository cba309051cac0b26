"""The checks of the served model: that it answers as it was judged, how fast, how soon, and how large it is."""

from typing import Literal

from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, ServingProof
from training.spec.model import ColdStartCheck, FirstTokenCheck, LatencyCheck, SizeCheck, Task, ThroughputCheck


def judge_servable(served: ServingProof, task: Task) -> CheckResult:
    """Always required: what the runtime can't answer as it was judged does not go live."""
    bound, worst = served.tolerance, served.worst_difference
    broken = [one for one in served.behaviours if not one.held]
    passed = worst is not None and worst <= bound and not broken
    if worst is None:
        reason = f"{served.runtime} does not serve it: {served.failure}"
    elif broken:
        reason = f"{served.ran} breaks {_over(served)} in {', '.join(one.name for one in broken)}: {broken[0].reason}"
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
    if task == "generation":
        answers = f"{percent(worst)} of them with other words"
        return (
            f"as it was judged: {answers}, at most {percent(bound)} may"
            if worst <= bound
            else (f"otherwise than it was judged: {answers}; at most {percent(bound)} may")
        )
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


def judge_first_token(check: FirstTokenCheck, served: ServingProof) -> CheckResult:
    common = {"name": "time to first token", "kind": "first_token", "unit": "ms", "required": check.required}
    if served.streaming is None:
        return _not_measured(common, check.max_p99_ms, served)
    found = served.streaming
    return CheckResult(
        **common,
        observed=found.first_token_p99_ms,
        bound=check.max_p99_ms,
        comparison="<=",
        status=_status(found.first_token_p99_ms <= check.max_p99_ms),
        reason=f"The first token of 99 of 100 streamed answers came within {short(found.first_token_p99_ms)} ms, "
        f"of half of them within {short(found.first_token_p50_ms)} ms ({found.calls} requests, one at a time); at "
        f"most {short(check.max_p99_ms)} ms is allowed.",
    )


def judge_throughput(check: ThroughputCheck, served: ServingProof) -> CheckResult:
    common = {"name": "throughput", "kind": "throughput", "unit": "tokens/s", "required": check.required}
    if served.streaming is None:
        return _not_measured(common, check.min_tokens_per_s, served, ">=")
    found = served.streaming
    return CheckResult(
        **common,
        observed=found.tokens_per_s,
        bound=check.min_tokens_per_s,
        comparison=">=",
        status=_status(found.tokens_per_s >= check.min_tokens_per_s),
        reason=f"{served.ran} made {short(found.tokens_per_s)} tokens a second ({found.calls} requests, one at a "
        f"time); at least {short(check.min_tokens_per_s)} are demanded.",
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


def _not_measured(
    common: dict, bound: float, served: ServingProof, comparison: Literal["<=", ">="] = "<="
) -> CheckResult:
    """A bound on something that could not be measured is not kept."""
    assert served.failure or served.behaviours, "a served model has every figure that a check asks for"
    why = "does not serve the model" if served.failure else "streamed no answer that could be timed"
    reason = f"It could not be measured, since {served.runtime} {why}."
    return CheckResult(**common, observed=None, bound=bound, comparison=comparison, status="failed", reason=reason)


def _over(served: ServingProof) -> str:
    return "OpenAI's protocol" if served.protocol == "openai" else f"protocol {served.protocol.upper()}"


def _status(passed: bool) -> Literal["passed", "failed"]:
    return "passed" if passed else "failed"
