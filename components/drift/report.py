"""Evidently's report of a window, as one HTML file of some megabytes."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.drift.scores import NUMBERS, SAMPLE, Score
from components.evaluate.table.evidently_report import plain_columns

if TYPE_CHECKING:
    import polars as pl


def write_report(path: Path, reference: "pl.DataFrame", rows: "pl.DataFrame", scores: tuple[Score, ...]) -> None:
    """Current: the window's rows. Reference: the training rows that it was compared with. With our thresholds."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    numerical = [score.column for score in scores if score.method == NUMBERS]
    categorical = [score.column for score in scores if score.method != NUMBERS]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    sampled = (side if len(side) <= SAMPLE else side.sample(SAMPLE, seed=0) for side in (rows, reference))
    current, before = (
        Dataset.from_pandas(plain_columns(side.select(numerical + categorical), numerical), data_definition=definition)
        for side in sampled
    )
    metrics = [ValueDrift(column=score.column, method=score.method, threshold=score.threshold) for score in scores]
    Report(metrics, include_tests=True).run(current, before).save_html(str(path))
