"""Small tables that the charts draw: confusion, and means over time."""

import math
from typing import TYPE_CHECKING

import numpy as np

from components.evaluate.shared.charts import TimeMeans
from components.evaluate.table.metrics import Actual, Prediction

if TYPE_CHECKING:
    import polars as pl


HOUR = 3_600_000_000
"""Microseconds."""
STEPS_HOURS = (1 / 60, 1 / 12, 0.25, 1, 3, 6, 12, 24, 168, 672)
MAX_BUCKETS = 100


def confusion(actual: Actual, prediction: Prediction) -> np.ndarray:
    """Counts (classes, classes), int: rows are the actual classes, columns the predicted ones."""
    assert actual.classes is not None
    k = len(actual.classes)
    return np.bincount(actual.values * k + prediction.values, minlength=k * k).reshape(k, k)


def means_over_time(times: "pl.Series", values: dict[str, np.ndarray]) -> TimeMeans | None:
    """Average each series over at most 100 buckets; None if all rows have one time. Empty buckets are left out.

    A bucket is as long as a clock or a calendar has it, so that a daily rhythm does not alias.
    """
    import polars as pl

    stamps = times.cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
    first, last = int(stamps.min()), int(stamps.max())
    if first == last:
        return None
    hours = (last - first) / HOUR
    step = next((hour for hour in STEPS_HOURS if hours / hour <= MAX_BUCKETS), math.ceil(hours / MAX_BUCKETS)) * HOUR
    bucket = stamps // int(step) - first // int(step)
    rows = np.bincount(bucket)
    some = np.flatnonzero(rows)
    series = {name: np.bincount(bucket, weights=value)[some] / rows[some] for name, value in values.items()}
    starts = ((first // int(step) + some) * int(step)).astype("datetime64[us]")
    return TimeMeans(starts, step / HOUR, series)
