"""Paired bootstrap whose cost does not grow with the rows.

Rows are put into at most 1,000 groups, and groups are drawn with replacement. All contenders share the draws, so
that their differences are paired. The draws are seeded: equal rows give equal intervals.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SEED = 0
RESAMPLES = 1000
MAX_GROUPS = 1000
MIN_BLOCKS = 20
PROBABILITY_METRICS = ("roc_auc", "log_loss", "brier")
"""Metrics that need class probabilities."""
Sums = dict[str, np.ndarray]


@dataclass(frozen=True)
class Groups:
    """A group number for each row: ``index`` (n,) intp in [0, count)."""

    index: np.ndarray
    count: int


@dataclass(frozen=True)
class Scores:
    """The metrics of one contender: exact ``values`` on all rows, and ``resamples`` (resamples,) of each."""

    values: dict[str, float]
    resamples: dict[str, np.ndarray]


def score_sums(sums: Sums, formula: Callable[[Sums], dict[str, np.ndarray]], weights: np.ndarray) -> Scores:
    """The metrics that a formula makes of sums (groups, …): of all groups, and of each resample of them."""
    whole = formula({name: group.sum(axis=0, keepdims=True) for name, group in sums.items()})
    values = {name: float(value[0]) for name, value in whole.items()}
    return Scores(values, formula({name: weights @ group for name, group in sums.items()}))


def draw(groups: int) -> np.ndarray:
    """How often each group is drawn in each resample: (1000, groups) float64, each row sums to ``groups``."""
    drawn = np.random.default_rng(SEED).integers(0, groups, size=(RESAMPLES, groups))
    drawn += np.arange(RESAMPLES)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * groups)
    return counts.reshape(RESAMPLES, groups).astype(np.float64)


def time_blocks(rows: int, days: int) -> Groups:
    """Groups for rows in the order of time: blocks of neighbours, since their errors are alike.

    Drawing rows one by one would treat them as independent and give intervals that are too narrow; blocks keep the
    dependence inside them (Künsch 1989, https://doi.org/10.1214/aos/1176347265; blocks that do not overlap: Carlstein
    1986; Politis and Romano 1994). A block has n^(1/3) rows, the rate that Hall, Horowitz and Jing (1995) show for a
    variance, or a whole day of rows where that is longer and leaves 20 blocks; there are never more than 1,000.

    days: calendar days that the rows span.
    """
    length = max(math.ceil(round(rows ** (1 / 3), 9)), math.ceil(rows / MAX_GROUPS))
    day = math.ceil(rows / days)
    if day > length and rows // day >= MIN_BLOCKS:
        length = day
    return Groups(np.arange(rows, dtype=np.intp) // length, math.ceil(rows / length))


def random_groups(rows: int) -> Groups:
    """Groups for rows without an order: each row its own up to 1,000 rows, else 1,000 groups at random."""
    if rows <= MAX_GROUPS:
        return Groups(np.arange(rows, dtype=np.intp), rows)
    return Groups(np.random.default_rng(SEED).integers(0, MAX_GROUPS, size=rows, dtype=np.intp), MAX_GROUPS)


def interval(resamples: np.ndarray, confidence: float) -> tuple[float, float] | None:
    """Percentile interval (Efron 1979) of the resamples that are defined; None if fewer than half are.

    Its ends are values that occurred, so that asking whether an end keeps a bound is the same as counting resamples.
    """
    known = resamples[~np.isnan(resamples)]
    if len(known) * 2 < len(resamples):
        return None
    low = np.quantile(known, (1 - confidence) / 2, method="lower")
    high = np.quantile(known, (1 + confidence) / 2, method="higher")
    return float(low), float(high)
