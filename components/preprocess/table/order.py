"""Rows in the order of their time. Ordered data passes through; the rest is sorted, on disk if it is long."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.preprocess.table.scan import ROW
from components.preprocess.table.survey import Survey
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

ROWS_AT_ONCE = 1_000_000
"""Rows that are sorted in memory together."""
_SAMPLE = 1_000_000


def in_order(kept: "pl.LazyFrame", spec: DataSpec, survey: Survey, scratch: Path) -> "pl.LazyFrame":
    """The rows by time, equal times in the order of the source, without the row number.

    Polars sorts in memory, so longer data is first parted by time into files under ``scratch``, which are
    sorted one after the other: one more write and read, and memory for :data:`ROWS_AT_ONCE` rows.
    """
    if survey.ordered or spec.time is None:
        return kept.drop(ROW)
    if survey.rows <= ROWS_AT_ONCE:
        return kept.sort(spec.time, ROW).drop(ROW)
    return _sorted_on_disk(kept, spec.time, survey.rows, scratch)


def _sorted_on_disk(kept: "pl.LazyFrame", time: str, count: int, scratch: Path) -> "pl.LazyFrame":
    import polars as pl

    parts, sorted_folder = scratch / "parts", scratch / "sorted"
    sorted_folder.mkdir()
    every = 1 + count // _SAMPLE
    sample = kept.filter(pl.col(ROW) % every == 0).select(time).collect(engine="streaming")[time].sort()
    step = max(1, len(sample) * ROWS_AT_ONCE // count)
    edges = sample.gather_every(step)[1:].unique(maintain_order=True)

    part = pl.col(time).map_batches(edges.search_sorted, return_dtype=pl.UInt32, is_elementwise=True)
    kept.sink_parquet(pl.PartitionBy(parts, key=part.alias("_part"), include_key=False), mkdir=True, engine="streaming")
    files = []
    for number in range(len(edges) + 1):
        if (folder := parts / f"_part={number}").is_dir():
            files.append(sorted_folder / f"{number:06}.parquet")
            rows = pl.scan_parquet(folder, hive_partitioning=False)
            rows.sort(time, ROW).drop(ROW).sink_parquet(files[-1], compression="lz4", engine="streaming")
    return pl.scan_parquet(files, hive_partitioning=False)
