from dataclasses import dataclass

import numpy as np

PROBABILITY_METRICS = ("roc_auc", "log_loss", "brier")
"""Metrics that need class probabilities."""


Sums = dict[str, np.ndarray]


@dataclass(frozen=True)
class Groups:
    """A group number for each row: ``index`` (n,) intp in [0, count)."""

    index: np.ndarray
    count: int
