"""Writing the sides of the split, in one pass over the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.evidence import TEST_FILE, TRAIN_FILE
from components.preprocess.split import TEST, Sides

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 131_072
"""Rows of a Parquet row group: fixed, so that equal rows give equal bytes."""


@dataclass(frozen=True)
class Made:
    """What was counted while the rows went by."""

    rows: int
    """On either side or left out."""
    falls: bool
    """Whether a time is earlier than the one before it; false without a time column."""


def write_sides(folder: Path, rows: "pl.LazyFrame", sides: Sides, time: str | None, with_test: bool) -> Made:
    """Write train.parquet, and test.parquet if ``with_test``; collected together, so that rows are made once."""
    import polars as pl

    marked = rows.with_columns(sides.test.alias(TEST))
    parts = {TRAIN_FILE: marked.filter(sides.train)}
    if with_test:
        parts[TEST_FILE] = marked.filter(TEST)
    sinks = [
        part.drop(TEST).sink_parquet(folder / name, compression="zstd", row_group_size=ROW_GROUP, lazy=True)
        for name, part in parts.items()
    ]
    falls = (pl.col(time).diff() < pl.duration()).any() if time else pl.lit(False)
    counts = marked.select(pl.len(), falls.alias("falls"))
    return Made(*pl.collect_all([counts, *sinks], engine="streaming")[0].row(0))
