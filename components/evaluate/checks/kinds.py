"""How each kind of check is evaluated and worded, a row each: the same kinds as ``training/spec/checks/kinds.py``."""

from collections.abc import Callable
from typing import Any

from components.evaluate.checks import (
    answer_bounds,
    drift_bound,
    judge_bound,
    metric_bounds,
    serving_bounds,
    slice_bounds,
)
from components.evaluate.shared.scored import Measured
from delivery.documents.verdict import CheckResult
from training import spec

EVALUATIONS: dict[type, Callable[[Any, Measured], CheckResult]] = {
    spec.AbsoluteCheck: metric_bounds.evaluate_absolute,
    spec.RelativeCheck: metric_bounds.evaluate_relative,
    spec.SliceCheck: slice_bounds.evaluate_slice,
    spec.DriftCheck: drift_bound.evaluate_drift,
    spec.LatencyCheck: serving_bounds.evaluate_latency,
    spec.ColdStartCheck: serving_bounds.evaluate_cold_start,
    spec.SizeCheck: serving_bounds.evaluate_size,
    spec.ServableCheck: serving_bounds.evaluate_servable,
    spec.FormatCheck: answer_bounds.evaluate_format,
    spec.ForbiddenCheck: answer_bounds.evaluate_forbidden,
    spec.LengthCheck: answer_bounds.evaluate_length,
    spec.RefusalCheck: answer_bounds.evaluate_refusals,
    spec.FirstTokenCheck: serving_bounds.evaluate_first_token,
    spec.ThroughputCheck: serving_bounds.evaluate_throughput,
    spec.JudgeCheck: judge_bound.evaluate_judge,
}
