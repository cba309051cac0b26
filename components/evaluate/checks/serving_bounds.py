"""The served model: that it answers as it was judged, how fast, how soon, and how large it is."""

from components.evaluate.checks.demand import Demand
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, ServingProof
from training.spec import (
    TASKS,
    Answers,
    ColdStartCheck,
    FirstTokenCheck,
    LatencyCheck,
    ServableCheck,
    SizeCheck,
    ThroughputCheck,
)


def evaluate_servable(check: ServableCheck, measured: Measured) -> CheckResult:
    """Always required: what the runtime can't answer as it was judged does not go live."""
    served = measured.served
    worst = served.worst_difference
    broken = [behaviour for behaviour in served.behaviours if not behaviour.held]
    passed = worst is not None and worst <= served.tolerance and not broken
    if worst is None:
        reason = f"{served.runtime} does not serve it: {served.failure}"
    elif broken:
        names = ", ".join(behaviour.name for behaviour in broken)
        reason = f"{served.ran} breaks {_protocol(served)} in {names}: {broken[0].reason}"
    else:
        reason = (
            f"{served.ran} loaded it in a fresh process and answered {served.rows:,} test rows over "
            f"{_protocol(served)} {_agreement(worst, served.tolerance, TASKS[measured.scored.task].answers)}."
        )
    demand = Demand(check, "served as judged", served.tolerance, "<=")
    return demand.result(worst, reason, "passed" if passed else "failed")


def _agreement(worst: float, bound: float, answered: Answers) -> str:
    if answered == "classes":
        if worst == 0:
            return "with the classes that it was judged by"
        return f"with another class in {percent(worst)} of them than it was judged by; none is allowed"
    if worst == 0:
        return "exactly as it was judged"
    if answered == "texts":
        answers = f"{percent(worst)} of them with other words"
        return (
            f"as it was judged: {answers}, at most {percent(bound)} may"
            if worst <= bound
            else (f"otherwise than it was judged: {answers}; at most {percent(bound)} may")
        )
    if worst <= bound:
        return f"as it was judged: the largest relative difference is {short(worst)}, at most {bound:g} is allowed"
    return f"otherwise than it was judged: one differs by {short(worst)} of its value; at most {bound:g} is allowed"


def evaluate_latency(check: LatencyCheck, measured: Measured) -> CheckResult:
    """Against p99, and against p50 where the check bounds it."""
    served = measured.served
    latency = next((latency for latency in served.latency if latency.concurrency == check.concurrency), None)
    at_a_time = f"{check.concurrency} at a time" if check.concurrency > 1 else "one at a time"
    demand = Demand(check, f"latency, {at_a_time}", check.max_p99_ms, "<=", "ms")
    if latency is None:
        return _not_measured(demand, served)
    half = "" if check.max_p50_ms is None else f", half at most {short(check.max_p50_ms)} ms"
    kept = latency.p99_ms <= check.max_p99_ms and (check.max_p50_ms is None or latency.p50_ms <= check.max_p50_ms)
    return demand.result(
        latency.p99_ms,
        f"99 of 100 one-row requests over {_protocol(served)} took at most {short(latency.p99_ms)} ms, half of them "
        f"{short(latency.p50_ms)} ms ({latency.calls} requests, {at_a_time}); at most {short(check.max_p99_ms)} ms is "
        f"allowed{half}.",
        "passed" if kept else "failed",
    )


def evaluate_first_token(check: FirstTokenCheck, measured: Measured) -> CheckResult:
    """Of streamed answers, against p99."""
    streaming = measured.served.streaming
    demand = Demand(check, "time to first token", check.max_p99_ms, "<=", "ms")
    if streaming is None:
        return _not_measured(demand, measured.served)
    return demand.result(
        streaming.first_token_p99_ms,
        f"The first token of 99 of 100 streamed answers came within {short(streaming.first_token_p99_ms)} ms, "
        f"of half of them within {short(streaming.first_token_p50_ms)} ms ({streaming.calls} requests, one at a time); "
        f"at most {short(check.max_p99_ms)} ms is allowed.",
    )


def evaluate_throughput(check: ThroughputCheck, measured: Measured) -> CheckResult:
    """Of all streamed answers together."""
    streaming = measured.served.streaming
    demand = Demand(check, "throughput", check.min_tokens_per_s, ">=", "tokens/s")
    if streaming is None:
        return _not_measured(demand, measured.served)
    return demand.result(
        streaming.tokens_per_s,
        f"{measured.served.ran} made {short(streaming.tokens_per_s)} tokens a second ({streaming.calls} requests, one "
        f"at a time); at least {short(check.min_tokens_per_s)} are demanded.",
    )


def evaluate_cold_start(check: ColdStartCheck, measured: Measured) -> CheckResult:
    """From the start of the process to its first answer."""
    seconds = measured.served.cold_start_s
    demand = Demand(check, "cold start", check.max_s, "<=", "s")
    if seconds is None:
        return _not_measured(demand, measured.served)
    return demand.result(
        seconds,
        f"The first answer came {short(seconds)} s after the start of the process; "
        f"at most {short(check.max_s)} s is allowed.",
    )


def evaluate_size(check: SizeCheck, measured: Measured) -> CheckResult:
    """Of the model folder."""
    mib = measured.served.size_bytes / 2**20
    demand = Demand(check, "model size", check.max_mib, "<=", "MiB")
    return demand.result(mib, f"The model folder has {short(mib)} MiB; at most {short(check.max_mib)} MiB is allowed.")


def _not_measured(demand: Demand, served: ServingProof) -> CheckResult:
    """A bound on something that could not be measured is not kept."""
    assert served.failure or served.behaviours, "a served model has every figure that a check asks for"
    why = "does not serve the model" if served.failure else "streamed no answer that could be timed"
    return demand.result(None, f"It could not be measured, since {served.runtime} {why}.", "failed")


def _protocol(served: ServingProof) -> str:
    return "OpenAI's protocol" if served.protocol == "openai" else f"protocol {served.protocol.upper()}"
