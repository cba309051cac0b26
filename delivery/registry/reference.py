"""What is kept of the training rows beside a version, so that live inputs can be compared with them later."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

REFERENCE_FILE = "reference.parquet"
REFERENCE_ROWS = 50_000
"""At most; some megabytes, whatever the training data's size."""
YEAR = timedelta(days=365.2425)
AROUND = timedelta(days=14)
"""Season: this long before and after the window's own days of the year."""


def write_reference(train: Path, target: Path, seed: int = 0) -> None:
    """A seeded sample of the training rows, in their order; equal rows give equal bytes."""
    import numpy as np
    import polars as pl

    rows = pl.scan_parquet(train).with_row_index("_at")
    count = rows.select(pl.len()).collect(engine="streaming").item()
    if count > REFERENCE_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(count, REFERENCE_ROWS, replace=False))
        rows = rows.filter(pl.col("_at").is_in(pl.Series(chosen.astype(np.uint32)).implode()))
    rows.drop("_at").collect(engine="streaming").write_parquet(target, compression="zstd")


def days(times: "pl.Series") -> "np.ndarray":
    """Times as float days since 1970, (n,)."""
    import polars as pl

    return times.cast(pl.Datetime("us")).to_physical().to_numpy().astype(float) / 86_400e6


def day(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)


def years_away(at: "np.ndarray", start: float, length: float, around: float) -> "tuple[np.ndarray, np.ndarray]":
    """Which times (n,) are in the season of the window [start, start + length), and how many years away each is.

    With the middle m of the window and the year Y, a time t is k = round((t - m) / Y) years away, and in season if
    |t - m - k Y| <= length / 2 + around. All in days.
    """
    import numpy as np

    year = YEAR / timedelta(days=1)
    apart = at - start - length / 2
    away = np.round(apart / year)
    return np.abs(apart - away * year) <= length / 2 + around, away
