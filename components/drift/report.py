"""Evidently's report of a window, as one HTML file of some megabytes."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.drift.scores import NUMBERS, SAMPLE, Score

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def write_report(path: Path, reference: "pl.DataFrame", rows: "pl.DataFrame", scores: tuple[Score, ...]) -> None:
    """Current: the window's rows. Reference: the training rows that it was compared with. With our thresholds."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    numerical = [score.column for score in scores if score.method == NUMBERS]
    categorical = [score.column for score in scores if score.method != NUMBERS]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    current, before = (
        Dataset.from_pandas(_plain(side, numerical, categorical), data_definition=definition)
        for side in (rows, reference)
    )
    metrics = [ValueDrift(column=score.column, method=score.method, threshold=score.threshold) for score in scores]
    Report(metrics, include_tests=True).run(current, before).save_html(str(path))


def _plain(rows: "pl.DataFrame", numerical: list[str], categorical: list[str]) -> "pd.DataFrame":
    """float64 and text only: Evidently takes unsigned and nullable types for unknown ones."""
    import polars as pl

    few = rows if len(rows) <= SAMPLE else rows.sample(SAMPLE, seed=0)
    return few.select(pl.col(numerical).cast(pl.Float64), pl.col(categorical).cast(pl.String)).to_pandas()
