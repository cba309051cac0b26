"""The metric in every group of rows with the same value of a column."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.evaluate.shared.bootstrap import Groups
from components.evaluate.shared.compare import worse_by
from delivery.documents.verdict import SliceResult
from training.errors import InputError
from training.spec import QualitySpec, SliceCheck, Task

if TYPE_CHECKING:
    import polars as pl

MAX_VALUES = 200
"""Most distinct values of a slice column."""


@dataclass(frozen=True)
class Slices:
    """The values of a column in ascending order, missing last, and which rows have each."""

    column: str
    values: tuple[str, ...]
    rows: np.ndarray
    """Rows a value, (values,)."""
    groups: Groups


def slice_rows(column: "pl.Series") -> Slices:
    """Raises InputError if the column has more than 200 distinct values."""
    import polars as pl

    if column.dtype == pl.Boolean:
        column = column.cast(pl.String)
    distinct = column.unique().sort(nulls_last=True)
    if len(distinct) > MAX_VALUES:
        raise InputError(
            f"quality.checks: slice column {column.name!r} has {len(distinct)} distinct values, at most {MAX_VALUES} "
            "can be judged; choose a column with few values, or bin it in features()"
        )
    known = distinct.drop_nulls()
    index = known.search_sorted(column).to_numpy().astype(np.intp)
    index[column.is_null().to_numpy()] = len(known)
    counts = np.bincount(index, minlength=len(distinct))
    names = tuple("(missing)" if value is None else str(value) for value in distinct.to_list())
    return Slices(column.name, names, counts, Groups(index, len(distinct)))


def measure_slices(
    quality: QualitySpec, task: Task, labels: "pl.DataFrame", measure: Callable[[str, Slices], list[np.ndarray]]
) -> dict[tuple[str, str], tuple[SliceResult, ...]]:
    """By column and metric, every value of the column where the metric is defined.

    labels: (rows, columns). measure: a metric of the candidate, and of the champion where there is one, in each slice.
    """
    results: dict[tuple[str, str], tuple[SliceResult, ...]] = {}
    for check in quality.checks:
        if not isinstance(check, SliceCheck) or (check.column, check.metric) in results:
            continue
        slices = slice_rows(labels[check.column])
        values = measure(check.metric, slices)
        results[check.column, check.metric] = tuple(
            SliceResult(
                column=check.column,
                value=slices.values[i],
                rows=int(slices.rows[i]),
                metric=check.metric,
                candidate=float(values[0][i]),
                champion=float(values[1][i]) if len(values) > 1 else None,
                worse=len(values) > 1 and bool(worse_by(check.metric, task, values[0][i], values[1][i]) > 0),
            )
            for i in range(len(slices.values))
            if all(np.isfinite(value[i]) for value in values)
        )
    return results
