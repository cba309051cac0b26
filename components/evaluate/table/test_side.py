"""The test rows: checked against their card, and handed to every contender in identical batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from components.evaluate.shared.rows import sample_positions
from components.evaluate.table.metrics import Actual
from training.errors import InputError, did_you_mean
from training.spec import TASKS, DataSpec, QualitySpec, SliceCheck, Task

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 65_536
"""Rows that are in memory as a whole at a time; only labels and predictions are kept for all."""


def read_labels(path: Path, data: DataSpec, quality: QualitySpec) -> "pl.DataFrame":
    """Target, time, slice and baseline columns of all test rows.

    Raises InputError for a column that is not there, and for nulls in the target or the baseline column.
    """
    import polars as pl

    columns = {"data.target": data.target, "data.time": data.time}
    columns |= {"quality.baseline.column": quality.baseline.column if quality.baseline else None}
    columns |= {
        f"quality.checks.{i}.column": c.column for i, c in enumerate(quality.checks) if isinstance(c, SliceCheck)
    }
    present = list(pl.read_parquet_schema(path))
    for field, name in columns.items():
        if name is not None and name not in present:
            raise InputError(f"{field} is {name!r}, which the test rows do not have. {did_you_mean(name, present)}")
    labels = pl.read_parquet(path, columns=sorted({name for name in columns.values() if name is not None}))
    for field in ("data.target", "quality.baseline.column"):
        name = columns[field]
        if name is not None and (missing := labels[name].null_count()):
            raise InputError(
                f"{field} {name!r} is missing in {missing} of {labels.height} test rows; "
                "make the column nullable: false, or fill it in features()"
            )
    return labels


def read_actual(target: "pl.Series", task: Task, model_classes: Sequence[np.ndarray]) -> Actual:
    """What happened. model_classes: labels (classes,) that each model knows; they join the class list.

    Raises InputError if the target is no number where numbers are predicted, has NaN, or has one class only.
    """
    if TASKS[task].answers == "numbers":
        if not target.dtype.is_numeric():
            raise InputError(f"the target {target.name!r} is {target.dtype}, no number; set task: classification")
        values = target.to_numpy().astype(np.float64, copy=False)
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise InputError(f"the target {target.name!r} is NaN or infinite in {bad} of {len(values)} test rows")
        return Actual(values, task=task)
    labels = target.unique().to_list()
    if len(labels) < 2:
        raise InputError(
            f"the target {target.name!r} has one class only in the test rows ({labels[0]!r}); "
            "no classifier can be judged on them: make data.split.test larger, or check the source"
        )
    union = sorted({label for known in model_classes for label in known.tolist()} | set(labels), key=_order)
    mixed = len({isinstance(label, str) for label in union}) > 1
    classes = np.array(union, dtype=object if mixed else None)
    return Actual(class_positions(target.to_numpy(), classes), classes, task)


def class_positions(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Position of every label (n,) in the classes, intp; -1 where it is none of them."""
    return pd.Index(classes).get_indexer(pd.Index(labels))


def _order(label: object) -> tuple[bool, object]:
    """Sort numbers by value and text by letters, numbers first."""
    return isinstance(label, str), label


def batches(path: Path, columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """The test rows in file order, about 65,536 at a time. A batch is immutable."""
    import polars as pl

    yield from pl.scan_parquet(path).select(list(columns)).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)


def sample_rows(path: Path, columns: Sequence[str], most: int) -> "pl.DataFrame":
    """The rows at :func:`sample_positions`, read in a stream."""
    import polars as pl

    scan = pl.scan_parquet(path)
    rows = scan.select(pl.len()).collect().item()
    if rows > most:
        positions = pl.Series(sample_positions(rows, most)).cast(pl.get_index_type())
        scan = scan.with_row_index("__row").filter(pl.col("__row").is_in(positions.implode()))
    return scan.select(list(columns)).collect(engine="streaming")
