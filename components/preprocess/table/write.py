"""Writing the sides of the split."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.preprocess.table.split import MARK, Sides
from delivery.documents.data_card import TEST_FILE, TRAIN_FILE

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 131_072
"""Rows of a Parquet row group: fixed, so that equal rows give equal bytes."""


@dataclass(frozen=True)
class Made:
    """What was counted while the rows of a hook went by."""

    rows: int
    """On either side or left out."""
    falls: bool
    """Whether a time is earlier than the one before it; false without a time column."""


def sinks(folder: Path, rows: "pl.LazyFrame", sides: Sides, with_test: bool) -> "list[pl.LazyFrame]":
    """The queries that write train.parquet and, if ``with_test``, test.parquet."""
    marked = rows if sides.mark is None else rows.with_columns(sides.mark.alias(MARK))
    parts = {TRAIN_FILE: marked.filter(sides.train)}
    if with_test:
        parts[TEST_FILE] = marked.filter(sides.test)
    return [
        part.drop(MARK, strict=False).sink_parquet(
            folder / name, compression="zstd", row_group_size=ROW_GROUP, lazy=True
        )
        for name, part in parts.items()
    ]


def write(sinks: "list[pl.LazyFrame]", by_time: bool) -> None:
    """Write sides of rows that come straight from Parquet.

    By key in one pass. By time one after the other, which is faster: the row groups of the other side are skipped.
    """
    import polars as pl

    for queries in ([sink] for sink in sinks) if by_time else [sinks]:
        pl.collect_all(queries, engine="streaming")


def write_counted(sinks: "list[pl.LazyFrame]", rows: "pl.LazyFrame", time: str | None) -> Made:
    """Write sides of rows that a hook makes, in one pass, and count them."""
    import polars as pl

    falls = (pl.col(time).diff() < pl.duration()).any() if time else pl.lit(False)
    counts = rows.select(pl.len(), falls.alias("falls"))
    return Made(*pl.collect_all([counts, *sinks], engine="streaming")[0].row(0))
