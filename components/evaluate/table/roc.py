"""ROC AUC: exact from ranks, its bootstrap from histograms of ranks, and the curve for the report."""

import numpy as np

from components.evaluate.shared.bootstrap import Groups
from components.evaluate.table.metrics import Actual, Prediction

BINS = 128
"""Bins of the ranks for the interval; the headline value is exact."""


def roc_auc(actual: Actual, prediction: Prediction) -> float:
    """Area under the ROC curve; NaN if fewer than two classes occur or there are no probabilities.

    Two classes: from the probability of the class that sorts last. More: the macro average of each class against
    the rest, over the classes that occur (Hand and Till 2001 discuss the choices; this is scikit-learn's
    ``multi_class="ovr", average="macro"``).
    """
    areas = [_area(actual.values == k, scores)[0] for k, scores in _one_against_rest(actual, prediction)]
    return float(np.mean(areas)) if areas else float("nan")


def resampled_roc_auc(
    actual: Actual, prediction: Prediction, groups: Groups, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """The exact value, and the value of each resample (resamples,) from weights (resamples, groups).

    Within a resample, rows whose ranks share a bin count as tied. What that shifts on all rows is taken off again,
    so that the resamples are centred on the exact value.
    """
    exact, resampled = [], []
    for k, scores in _one_against_rest(actual, prediction):
        positive = actual.values == k
        area, bins = _area(positive, scores)
        cells = (groups.index * 2 + positive) * BINS + bins
        counts = np.bincount(cells, minlength=groups.count * 2 * BINS).reshape(groups.count, 2, BINS).astype(np.float64)
        whole = _binned_area(counts.sum(axis=0)[None, 0], counts.sum(axis=0)[None, 1])
        exact.append(area)
        resampled.append(_binned_area(weights @ counts[:, 0], weights @ counts[:, 1]) + (area - whole))
    if not exact:
        return float("nan"), np.full(len(weights), np.nan)
    return float(np.mean(exact)), np.mean(resampled, axis=0)


def roc_points(actual: Actual, prediction: Prediction, most: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rate, true positive rate and threshold of a two-class curve, at most ``most`` points each.

    Thresholds are finite: the first is the largest score, where the curve has already left (0, 0).
    """
    from sklearn.metrics import roc_curve

    assert prediction.probabilities is not None and prediction.probabilities.shape[1] == 2
    curve = roc_curve(actual.values == 1, prediction.probabilities[:, 1], drop_intermediate=False)
    false_positive, true_positive, thresholds = (points[1:] for points in curve)
    many = len(thresholds)
    keep = np.unique(np.linspace(0, many - 1, min(most, many)).round().astype(int))
    return false_positive[keep], true_positive[keep], thresholds[keep]


def _one_against_rest(actual: Actual, prediction: Prediction) -> list[tuple[int, np.ndarray]]:
    """Class position and scores (n,) of every curve to average."""
    assert actual.classes is not None
    occurs = np.unique(actual.values)
    if prediction.probabilities is None or len(occurs) < 2:
        return []
    positive = [1] if len(actual.classes) == 2 else occurs.tolist()
    return [(k, prediction.probabilities[:, k]) for k in positive]


def _area(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Exact area and the rank bin of every row (n,).

    The area is the Mann-Whitney statistic: (sum of the positives' ranks - P(P+1)/2) / (P N), ties at their mean
    rank (Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747).
    """
    rows = len(scores)
    order = np.argsort(scores)
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.append(starts, rows))
    ranks = np.repeat(starts + (lengths + 1) / 2, lengths)
    hits = int(positive.sum())
    area = (ranks[positive[order]].sum() - hits * (hits + 1) / 2) / (hits * (rows - hits))
    bins = np.empty(rows, dtype=np.intp)
    bins[order] = ((ranks - 1) * BINS / rows).astype(np.intp)
    return float(area), bins


def _binned_area(negatives: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Area (resamples,) from counts (resamples, bins) each; NaN where a side is empty."""
    below = np.cumsum(negatives, axis=1) - negatives / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))
