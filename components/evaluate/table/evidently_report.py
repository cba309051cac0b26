"""The one adapter to Evidently: drift of the inputs, and its report on a sample.

Nothing here decides about quality: the headline metrics are exact and of all rows. Evidently sees a seeded sample, so
that its cost is flat, and its own tests of presets, which are two-sided and refuse a much better challenger, stay off.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from components.evaluate.table.metrics import Actual, Prediction
from delivery.documents.verdict import DriftResult

if TYPE_CHECKING:
    import polars as pl
    from evidently import DataDefinition, Dataset
    from evidently.core.report import Snapshot


@dataclass(frozen=True)
class InputDrift:
    """Drift of each input column, and Evidently's own views of it."""

    columns: tuple[DriftResult, ...]
    not_measured: tuple[str, ...]
    """Input columns without a value on one side, or of a type that has no drift test."""
    snapshot: "Snapshot | None"


def measure_drift(reference: "pl.DataFrame", current: "pl.DataFrame") -> InputDrift:
    """Compare the inputs of two samples column by column.

    reference: of the training rows; current: of the test rows; same columns. Evidently chooses the method by type and
    size: above 1,000 rows the normed Wasserstein distance (numbers) and the Jensen-Shannon distance (categories), both
    drifted from 0.1; below, Kolmogorov-Smirnov and chi-square, where a p-value under 0.05 is drift.
    """
    from evidently import DataDefinition, Report
    from evidently.core.metric_types import TestStatus
    from evidently.metrics import ValueDrift

    kinds = {name: _kind(reference[name], current[name]) for name in reference.columns}
    numerical = [name for name, kind in kinds.items() if kind == "number"]
    categorical = [name for name, kind in kinds.items() if kind == "category"]
    measured = [name for name, kind in kinds.items() if kind]
    skipped = tuple(name for name, kind in kinds.items() if not kind)
    if not measured:
        return InputDrift((), skipped, None)
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    sides = [_dataset(plain_columns(rows.select(measured), numerical), definition) for rows in (current, reference)]
    snapshot = Report([ValueDrift(column=name) for name in measured], include_tests=True).run(sides[0], sides[1])
    results: list[DriftResult] = []
    for result in snapshot.metric_results.values():
        shown = result.to_dict()
        assert math.isfinite(shown["value"]), f"drift of {shown['config']['column']} is no number"
        results.append(
            DriftResult(
                column=shown["config"]["column"],
                method=shown["config"]["method"],
                score=float(shown["value"]),
                threshold=float(shown["config"]["threshold"]),
                drifted=result.tests[0].status == TestStatus.FAIL,
            )
        )
    return InputDrift(tuple(results), skipped, snapshot)


def write_evidently_report(
    path: Path, actual: Actual, candidate: Prediction, champion: Prediction | None, drift: InputDrift
) -> None:
    """One HTML file: Evidently's preset of the task (current = candidate, reference = champion), then drift.

    actual, candidate, champion: of the same sampled rows. A sample with one class only has no quality part.
    """
    from evidently import Report
    from evidently.core.metric_types import render_widgets
    from evidently.legacy.renderers.html_widgets import group_widget
    from evidently.presets import ClassificationPreset, RegressionPreset

    groups = []
    if actual.classes is None or len(set(actual.values.tolist())) > 1:
        preset = RegressionPreset() if actual.classes is None else ClassificationPreset()
        definition = _quality_definition(
            actual, [prediction for prediction in (candidate, champion) if prediction is not None]
        )
        current = _dataset(_answers(actual, candidate), definition)
        reference = None if champion is None else _dataset(_answers(actual, champion), definition)
        quality = Report([preset], include_tests=False).run(current, reference)
        title = "Candidate" if champion is None else "Candidate (current) and champion (reference) on the same rows"
        groups.append(group_widget(title=title, widgets=quality.to_snapshot_model().widgets))
    if drift.snapshot is not None:
        title = "Drift: test rows (current) and training rows (reference)"
        groups.append(group_widget(title=title, widgets=drift.snapshot.to_snapshot_model().widgets))
    path.write_text(render_widgets(groups), encoding="utf-8")


def _kind(reference: "pl.Series", current: "pl.Series") -> str:
    """ "number", "category", or "" for a column whose drift can't be measured."""
    import polars as pl

    def empty(column: "pl.Series") -> bool:
        known = column.drop_nulls()
        return len(known.filter(known.is_finite()) if known.dtype.is_float() else known) == 0

    if empty(reference) or empty(current):
        return ""
    if reference.dtype.is_numeric():
        return "number"
    return "category" if reference.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) else ""


def plain_columns(rows: "pl.DataFrame", numerical: list[str]) -> pd.DataFrame:
    """float64 and text only: Evidently takes unsigned and nullable types for unknown ones."""
    import polars as pl

    text = [name for name in rows.columns if name not in numerical]
    return rows.with_columns(pl.col(numerical).cast(pl.Float64), pl.col(text).cast(pl.String)).to_pandas()


def _quality_definition(actual: Actual, predictions: list[Prediction]) -> "DataDefinition":
    """Labels as text: Evidently compares them as such in places. Probabilities only where every class occurs."""
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression

    if actual.classes is None:
        return DataDefinition(
            numerical_columns=["target", "prediction"],
            regression=[Regression(target="target", prediction="prediction")],
        )
    complete = len(set(actual.values.tolist())) == len(actual.classes)
    chances = complete and all(prediction.probabilities is not None for prediction in predictions)
    if len(actual.classes) == 2:
        task = BinaryClassification(
            target="target",
            prediction_labels="prediction",
            prediction_probas="probability" if chances else None,
            pos_label=str(actual.classes[1]),
        )
    else:
        names = [str(label) for label in actual.classes]
        task = MulticlassClassification(
            target="target", prediction_labels="prediction", prediction_probas=names if chances else None
        )
    return DataDefinition(categorical_columns=["target", "prediction"], classification=[task])


def _answers(actual: Actual, prediction: Prediction) -> pd.DataFrame:
    if actual.classes is None:
        return pd.DataFrame({"target": actual.values, "prediction": prediction.values})
    names = actual.classes.astype(str).astype(object)
    rows = pd.DataFrame({"target": names[actual.values], "prediction": names[prediction.values]})
    if prediction.probabilities is not None:
        if len(names) == 2:
            rows["probability"] = prediction.probabilities[:, 1]
        else:
            rows[list(names)] = prediction.probabilities
    return rows


def _dataset(rows: pd.DataFrame, definition: "DataDefinition") -> "Dataset":
    from evidently import Dataset

    return Dataset.from_pandas(rows, data_definition=definition)
