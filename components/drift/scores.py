"""Drift scores of a window, by Evidently's named methods, and what of them counts as drift.

A threshold for independent rows is of no use: neighbouring hours and days resemble each other, so that every week
differs from every other. So the training data says how far its own windows are from the rest of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from components.drift.windows import Window
from delivery.registry.reference import AROUND, day, days, years_away
from training.spec import DriftWatchSpec
from training.spec.section import parse_duration

if TYPE_CHECKING:
    import polars as pl

NUMBERS, CATEGORIES = "wasserstein", "jensenshannon"
"""Evidently's names: https://docs.evidentlyai.com/metrics/customize_data_drift"""
OWN_WINDOWS = 104
"""Most of the training data's own windows that set a threshold: the newest. Two years of weeks."""
ENOUGH = 10
"""Fewer own windows say nothing about the rest."""
SAMPLE = 5_000
"""Most values of a side of one score."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Score:
    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


class Baseline:
    """The training rows of the live version, and a threshold a column."""

    def __init__(self, rows: "pl.DataFrame", time: str | None, spec: DriftWatchSpec, columns: Sequence[str]) -> None:
        """rows: the reference with its time column, if it has one. columns: those that are compared."""
        self.spec = spec
        self.methods = {name: method for name in columns if (method := method_of(rows[name]))}
        self.values = {name: _values(rows[name], method) for name, method in self.methods.items()}
        self.rows = len(rows)
        self.at = days(rows[time]) if time else None
        self.length = parse_duration(spec.window) / _DAY
        self.season = spec.baseline == "season" and self._spans_years()
        self.own = self._own_windows()
        self.thresholds = {name: self._threshold(name) for name in self.methods}

    def values_of(self, rows: "pl.DataFrame") -> dict[str, np.ndarray]:
        """The compared columns of live rows, (n,) each."""
        return {name: _values(rows[name], method) for name, method in self.methods.items()}

    def score(self, name: str, window: Window, values: np.ndarray) -> float | None:
        return distance(self.methods[name], self.values[name][self.rows_compared(window)], values)

    def scores(self, window: Window, values: dict[str, np.ndarray]) -> tuple[Score, ...]:
        """Every compared column of the window that has values on both sides."""
        scores = []
        for name, method in self.methods.items():
            score = self.score(name, window, values[name])
            if score is not None:
                least = self.thresholds[name]
                scores.append(Score(name, method, score, least, score >= least))
        return tuple(scores)

    def rows_compared(self, window: Window) -> np.ndarray:
        """Which reference rows the window is compared with, (n,) of bool."""
        if self.season and self.at is not None:
            return years_away(self.at, day(window.start), self.length, AROUND / _DAY)[0]
        return np.ones(self.rows, bool)

    def _spans_years(self) -> bool:
        return self.at is not None and len(self.at) > 0 and self.at.max() - self.at.min() >= 2 * 365

    def _own_windows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of the training data's windows, newest first: their rows, and those that each is compared with."""
        if self.at is None or not len(self.at):
            return []
        windows = []
        start = self.at.max() - self.length
        while start >= self.at.min() and len(windows) < OWN_WINDOWS:
            inside = (self.at > start) & (self.at <= start + self.length)
            if self.season:
                near, away = years_away(self.at, start, self.length, AROUND / _DAY)
                rest = near & (away != 0)
            else:
                rest = np.abs(self.at - start - self.length / 2) > self.length / 2 + AROUND / _DAY
            if inside.any() and rest.any():
                windows.append((inside, rest))
            start -= self.length
        return windows

    def _threshold(self, name: str) -> float:
        """max(threshold, quantile of the own windows' scores at 1 - false_alarm)."""
        values, method = self.values[name], self.methods[name]
        scores = [distance(method, values[rest], values[inside]) for inside, rest in self.own]
        known = [score for score in scores if score is not None]
        if len(known) < ENOUGH:
            return self.spec.threshold
        return max(self.spec.threshold, float(np.quantile(known, 1 - self.spec.false_alarm)))


def method_of(column: "pl.Series") -> str:
    """Evidently's method for the column's type, "" for one that has none."""
    import polars as pl

    if column.dtype.is_numeric():
        return NUMBERS
    return CATEGORIES if column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) else ""


def distance(method: str, reference: np.ndarray, current: np.ndarray) -> float | None:
    """Evidently's score of two samples, (n,) and (m,); None where one has no value."""
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
    from evidently.legacy.core import ColumnType

    test, kind = (
        (wasserstein_stat_test, ColumnType.Numerical)
        if method == NUMBERS
        else (jensenshannon_stat_test, ColumnType.Categorical)
    )
    sides = [pd.Series(_sampled(values[~pd.isna(values)])) for values in (reference, current)]
    if sides[0].empty or sides[1].empty:
        return None
    return float(test(sides[0], sides[1], kind, 0.1).drift_score)


def _sampled(values: np.ndarray) -> np.ndarray:
    if len(values) <= SAMPLE:
        return values
    return values[np.random.default_rng(0).choice(len(values), SAMPLE, replace=False)]


def _values(column: "pl.Series", method: str) -> np.ndarray:
    """float64 with NaN for missing and infinite values, or text with None."""
    import polars as pl

    if method == NUMBERS:
        numbers = column.cast(pl.Float64).to_numpy().astype(float)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    return np.array(column.cast(pl.String).to_list(), dtype=object)
