"""Small tables that the charts draw: confusion, calibration, and means over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.evaluate.metrics import Actual, Prediction

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(frozen=True)
class TimeMeans:
    """Means of buckets of equal duration: start of each (buckets,) datetime64[us], and a series a name (buckets,)."""

    starts: "np.ndarray"
    step_hours: float
    series: dict[str, "np.ndarray"]


def confusion(actual: Actual, prediction: Prediction) -> "np.ndarray":
    """Counts (classes, classes), int: rows are the actual classes, columns the predicted ones."""
    import numpy as np

    assert actual.classes is not None
    k = len(actual.classes)
    return np.bincount(actual.values * k + prediction.values, minlength=k * k).reshape(k, k)


def calibration(actual: Actual, prediction: Prediction, bins: int = 10) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Mean predicted probability, observed share and rows of each non-empty bin of equal width (two classes)."""
    import numpy as np

    assert prediction.probabilities is not None
    chance = prediction.probabilities[:, 1]
    index = np.minimum((chance * bins).astype(np.intp), bins - 1)
    rows = np.bincount(index, minlength=bins)
    some = rows > 0
    mean = np.bincount(index, weights=chance, minlength=bins)[some] / rows[some]
    share = np.bincount(index, weights=actual.values, minlength=bins)[some] / rows[some]
    return mean, share, rows[some]


def means_over_time(times: "pl.Series", values: "dict[str, np.ndarray]", buckets: int = 168) -> TimeMeans | None:
    """Average each series over at most 168 buckets; None if all rows have one time. Empty buckets are left out."""
    import numpy as np
    import polars as pl

    stamps = times.cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
    first, last = int(stamps.min()), int(stamps.max())
    if first == last:
        return None
    buckets = min(buckets, times.n_unique())
    step = -(-(last - first + 1) // buckets)
    index = (stamps - first) // step
    rows = np.bincount(index, minlength=buckets)
    some = np.flatnonzero(rows)
    series = {
        name: (np.bincount(index, weights=value, minlength=buckets) / rows.clip(1))[some]
        for name, value in values.items()
    }
    return TimeMeans((first + some * step).astype("datetime64[us]"), step / 3.6e9, series)
