"""How each kind of check is evaluated and worded, a row each: the same kinds as ``training/spec/checks/kinds.py``."""

from collections.abc import Callable
from typing import Any

from components.evaluate.checks.answer_bounds import (
    evaluate_forbidden,
    evaluate_format,
    evaluate_length,
    evaluate_refusals,
)
from components.evaluate.checks.drift_bound import evaluate_drift
from components.evaluate.checks.judge_bound import evaluate_judge
from components.evaluate.checks.metric_bounds import evaluate_absolute, evaluate_relative
from components.evaluate.checks.serving_bounds import (
    evaluate_cold_start,
    evaluate_first_token,
    evaluate_latency,
    evaluate_servable,
    evaluate_size,
    evaluate_throughput,
)
from components.evaluate.checks.slice_bounds import evaluate_slice
from components.evaluate.shared.scored import Measured
from delivery.documents.verdict import CheckResult
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
    RefusalCheck,
    RelativeCheck,
    ServableCheck,
    SizeCheck,
    SliceCheck,
    ThroughputCheck,
)

EVALUATIONS: dict[type, Callable[[Any, Measured], CheckResult]] = {
    AbsoluteCheck: evaluate_absolute,
    RelativeCheck: evaluate_relative,
    SliceCheck: evaluate_slice,
    DriftCheck: evaluate_drift,
    LatencyCheck: evaluate_latency,
    ColdStartCheck: evaluate_cold_start,
    SizeCheck: evaluate_size,
    ServableCheck: evaluate_servable,
    FormatCheck: evaluate_format,
    ForbiddenCheck: evaluate_forbidden,
    LengthCheck: evaluate_length,
    RefusalCheck: evaluate_refusals,
    FirstTokenCheck: evaluate_first_token,
    ThroughputCheck: evaluate_throughput,
    JudgeCheck: evaluate_judge,
}
