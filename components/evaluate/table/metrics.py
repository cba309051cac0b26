"""Exact metrics from sums over rows.

Every metric but ROC AUC is a function of a few sums, so one formula serves the headline (one group with all rows),
the slices (one group a value) and the bootstrap (groups weighted by how often they were drawn). Sums are float64
arrays whose first axis is the group. A metric that is not defined, such as R² of a constant target, is NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluate.shared.bootstrap import PROBABILITY_METRICS, Groups, Sums
from training.spec import METRICS, Task


@dataclass(frozen=True)
class Actual:
    """What really happened on the test rows.

    values: (n,) float64 where numbers are predicted, (n,) intp positions in ``classes`` where classes are.
    classes: sorted labels of the test rows and of every model, (classes,); None for numbers.
    """

    values: np.ndarray
    classes: np.ndarray | None = None
    task: Task = "regression"

    @property
    def rows(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Prediction:
    """What one contender said about the same rows.

    values: like ``Actual.values``. probabilities: (n, classes) float64 in the order of ``Actual.classes``, or None.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None


def metric_names(task: Task, with_probabilities: bool) -> list[str]:
    """Metrics that a contender of the task can have, in the order of the schema."""
    return [name for name in METRICS[task] if with_probabilities or name not in PROBABILITY_METRICS]


def group_sum(groups: Groups) -> Callable[[Any], np.ndarray]:
    if groups.count == 1:
        return lambda values: np.array([values.sum()], dtype=np.float64)
    return lambda values: np.bincount(groups.index, weights=values, minlength=groups.count)


def group_counts(groups: Groups) -> np.ndarray:
    return np.bincount(groups.index, minlength=groups.count).astype(np.float64)


def regression_sums(actual: Actual, prediction: Prediction, groups: Groups) -> Sums:
    total = group_sum(groups)
    centred = actual.values - actual.values.mean()
    error = prediction.values - actual.values
    sums = {
        "rows": group_counts(groups),
        "error": total(error),
        "squared": total(error * error),
        "centred": total(centred),
        "centred_squared": total(centred * centred),
    }
    absolute = np.abs(error, out=error)
    sums["absolute"] = total(absolute)
    nonzero = actual.values != 0
    size = np.abs(actual.values, out=centred)
    relative = np.divide(absolute, size, out=np.zeros_like(size), where=nonzero)
    sums["relative"] = total(relative)
    sums["nonzero"] = sums["rows"] if nonzero.all() else total(nonzero)
    return sums


def regression_metrics(sums: Sums) -> dict[str, np.ndarray]:
    rows = sums["rows"]
    spread = sums["centred_squared"] - sums["centred"] ** 2 / rows
    # Below rounding error of its own two terms the target is constant, and R² is not defined.
    spread = np.where(spread > 1e-12 * sums["centred_squared"], spread, np.nan)
    return {
        "mae": sums["absolute"] / rows,
        "rmse": np.sqrt(sums["squared"] / rows),
        "r2": 1 - sums["squared"] / spread,
        "bias": sums["error"] / rows,
        "mape": sums["relative"] / sums["nonzero"],
    }


def classification_sums(actual: Actual, prediction: Prediction, groups: Groups) -> Sums:
    assert actual.classes is not None
    classes = len(actual.classes)

    def by_class(labels: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        cells = groups.index[rows] * classes + labels[rows]
        return np.bincount(cells, minlength=groups.count * classes).reshape(groups.count, classes).astype(np.float64)

    hits = np.flatnonzero(actual.values == prediction.values)
    sums = {
        "rows": group_counts(groups),
        "support": by_class(actual.values),
        "predicted": by_class(prediction.values),
        "hits": by_class(actual.values, hits),
    }
    if prediction.probabilities is not None:
        total = group_sum(groups)
        chances = prediction.probabilities
        own = np.take_along_axis(chances, actual.values[:, None], axis=1)[:, 0]
        tiny = np.finfo(np.float64).eps
        sums["log_loss"] = -total(np.log(np.clip(own, tiny, 1 - tiny)))
        if classes == 2:
            sums["brier"] = total((chances[:, 1] - actual.values) ** 2)
        else:
            sums["brier"] = total(np.einsum("ij,ij->i", chances, chances) - 2 * own + 1)
    return sums


def classification_metrics(sums: Sums) -> dict[str, np.ndarray]:
    rows, support, predicted, hits = (sums[name] for name in ("rows", "support", "predicted", "hits"))
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    f1 = np.divide(2 * hits, support + predicted, out=np.zeros_like(hits), where=support + predicted > 0)
    seen = (support + predicted) > 0

    def average(values: np.ndarray) -> np.ndarray:
        return values[:, 1] if values.shape[1] == 2 else values.sum(axis=1) / seen.sum(axis=1)

    metrics = {
        "accuracy": hits.sum(axis=1) / rows,
        "balanced_accuracy": recall.sum(axis=1) / (support > 0).sum(axis=1),
        "precision": average(precision),
        "recall": average(recall),
        "f1": average(f1),
    }
    return metrics | {name: sums[name] / rows for name in ("log_loss", "brier") if name in sums}
