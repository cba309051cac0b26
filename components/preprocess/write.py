"""The one pass that writes everything: train, test and refused rows, and the counts that the checks need."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.evidence import REFUSED_FILE, TEST_FILE, TRAIN_FILE
from components.preprocess.split import TEST, Sides
from training.spec import DataSpec, parse_duration

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 262_144
"""Rows of a Parquet row group: fixed, so that equal rows give equal bytes."""


@dataclass(frozen=True)
class Written:
    """What was counted while the rows went by."""

    kept: int
    """Rows that the contract kept, before the hook."""
    made: int
    """Rows after the hook, on either side or left out."""
    falls: bool
    """Whether a time after the hook is earlier than the one before it."""
    gaps: int
    """Steps between neighbouring times that are longer than data.max_gap."""
    first_gaps: tuple[tuple[datetime, datetime], ...]
    """The first few of them: the times on either side."""


def write(
    folder: Path,
    refused: "pl.LazyFrame",
    kept: "pl.LazyFrame",
    made: "pl.LazyFrame",
    sides: Sides,
    spec: DataSpec,
    with_test: bool,
) -> Written:
    """Write the Parquet files into ``folder``, the test side only if ``with_test``.

    The queries are collected together, so that what they share is read once.
    """
    import polars as pl

    marked = made.with_columns(sides.test.alias(TEST))
    files = {TRAIN_FILE: marked.filter(sides.train).drop(TEST), REFUSED_FILE: refused}
    if with_test:
        files[TEST_FILE] = marked.filter(TEST).drop(TEST)
    sinks = [
        rows.sink_parquet(folder / name, compression="zstd", row_group_size=ROW_GROUP, lazy=True)
        for name, rows in files.items()
    ]
    counts = [kept.select(pl.len()), made.select(pl.len(), falls=_falls(spec.time)), _gaps(kept, spec)]
    before, after, gaps = pl.collect_all([*counts, *sinks], engine="streaming")[: len(counts)]
    return Written(
        kept=before.item(),
        made=after.item(0, 0),
        falls=after.item(0, 1),
        gaps=gaps.item(0, 0),
        first_gaps=tuple(zip(gaps.item(0, 1), gaps.item(0, 2), strict=True)),
    )


def _falls(time: str | None) -> "pl.Expr":
    import polars as pl

    return (pl.col(time).diff() < pl.duration()).any() if time else pl.lit(False)


def _gaps(kept: "pl.LazyFrame", spec: DataSpec) -> "pl.LazyFrame":
    """One row: how many gaps, and lists of the times before and after the first five."""
    import polars as pl

    limit = pl.lit(parse_duration(spec.max_gap)) if spec.max_gap else None
    time = pl.col(spec.time) if spec.time else pl.lit(None, pl.Datetime("us"))
    ends = kept.select(time.alias("to"), time.shift(1).alias("from"))
    gaps = ends.filter(pl.col("to") - pl.col("from") > limit if limit is not None else pl.lit(False))
    return gaps.select(pl.len(), pl.col("from").head(5).implode(), pl.col("to").head(5).implode())
