"""One contender against another: what better and worse mean."""

from typing import Any

import numpy as np

from components.evaluate.shared.bootstrap import PROBABILITY_METRICS, Scores
from training.errors import InputError
from training.spec import METRICS, Task


def worse_by(metric: str, task: Task, candidate: Any, other: Any) -> np.ndarray:
    """How much worse the candidate is, relative to the other's absolute value; negative is better.

    (candidate - other) / |other| where lower is better, (other - candidate) / |other| where higher is; `bias` is
    compared by absolute values. Against an other of 0: 0 if they are equal, else +inf (worse) or -inf (better), so
    that no margin excuses what is worse than perfect. candidate, other: floats or (resamples,).
    """
    mine, theirs = np.asarray(candidate, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if metric == "bias":
        mine, theirs = np.abs(mine), np.abs(theirs)
    gap = mine - theirs if METRICS[task][metric] == "lower" else theirs - mine
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, 0.0, gap / np.abs(theirs))


def difference(metric: str, candidate: Any, other: Any) -> np.ndarray:
    """Candidate minus other; of the absolute values for `bias`. Floats or (resamples,)."""
    mine, theirs = np.asarray(candidate, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return np.abs(mine) - np.abs(theirs) if metric == "bias" else mine - theirs


def value_of(scores: Scores, metric: str, whose: str) -> float:
    """The exact value. Raises InputError that says why the metric is not defined."""
    if metric in scores.values:
        return scores.values[metric]
    if metric in PROBABILITY_METRICS:
        raise InputError(
            f"quality.checks: {metric} needs class probabilities, which {whose} does not give; "
            "use a classifier with predict_proba, or a metric of the labels such as balanced_accuracy"
        )
    raise InputError(
        f"quality.checks: {metric} of {whose} is not defined on these test rows (constant or all-zero target); "
        "choose another metric, or make data.split.test larger"
    )


def metric_unit(metric: str, unit: str) -> str:
    """Unit of a metric: the target's for errors in its scale, none for the others."""
    return unit if metric in ("mae", "rmse", "bias") else ""
