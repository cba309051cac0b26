from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from components.evaluate.shared.bootstrap import Groups, Scores, score_sums
from components.evaluate.shared.slices import Slices
from components.evaluate.table.metrics import Actual, Prediction, metric_names
from components.evaluate.table.roc import resampled_roc_auc, roc_auc
from components.evaluate.table.scorings import metric_sums, metrics_of


def score(actual: Actual, prediction: Prediction, groups: Groups, weights: np.ndarray) -> Scores:
    """Score one contender. weights: (resamples, groups), see :func:`draw`. Undefined metrics are left out."""
    scores = score_sums(metric_sums(actual, prediction, groups), partial(metrics_of, actual.task), weights)
    values, resamples = scores.values, scores.resamples
    if prediction.probabilities is not None:
        values["roc_auc"], resamples["roc_auc"] = resampled_roc_auc(actual, prediction, groups, weights)
    names = metric_names(actual.task, prediction.probabilities is not None)
    defined = [name for name in names if math.isfinite(values[name])]
    return Scores({name: values[name] for name in defined}, {name: resamples[name] for name in defined})


def slice_metric(metric: str, actual: Actual, predictions: Sequence[Prediction], slices: Slices) -> list[np.ndarray]:
    """The metric of each prediction in each slice, (values,); NaN where it is not defined."""
    if metric != "roc_auc":
        sums = [metric_sums(actual, prediction, slices.groups) for prediction in predictions]
        return [metrics_of(actual.task, each)[metric] for each in sums]
    areas = [np.full(slices.groups.count, np.nan) for _ in predictions]
    for k in range(slices.groups.count):
        rows = np.flatnonzero(slices.groups.index == k)
        part = replace(actual, values=actual.values[rows])
        for area, prediction in zip(areas, predictions, strict=True):
            assert prediction.probabilities is not None
            area[k] = roc_auc(part, Prediction(prediction.values[rows], prediction.probabilities[rows]))
    return areas
