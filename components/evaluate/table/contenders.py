"""Those who predict the test rows: candidate, champion and baseline. A prediction that is no number is an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from components.evaluate.shared.contender import Entrant
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.test_side import batches, class_positions
from training.errors import InputError, OstinatoError
from training.spec import TASKS, Baseline, Task

if TYPE_CHECKING:
    import polars as pl

    from delivery.models.folder import Predictor

PREDICT_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError)
"""What scikit-learn and its pipelines raise on rows that they can't take."""


@dataclass(frozen=True, kw_only=True)
class Model(Entrant):
    """One that is loaded."""

    predictor: "Predictor"


def open_model(entrant: Entrant, task: Task, columns: Sequence[str]) -> Model:
    """Load a model folder. columns: what the test rows have.

    Raises OstinatoError if it does not load, is of another task, or needs a column that is no longer there.
    """
    from delivery.models.folder import load_model, model_digest

    try:
        predictor = load_model(entrant.folder)
    except OstinatoError as error:
        raise OstinatoError(f"{entrant.called} can't be loaded: {error}. {entrant.fix}") from error
    folder = entrant.folder
    model = Model(entrant.role, entrant.version, folder, model_digest(folder), predictor=predictor)
    missing = [name for name in predictor.inputs if name not in columns]
    if missing:
        raise OstinatoError(
            f"{model.called} needs the column(s) {', '.join(map(repr, missing))}, which the data contract no longer "
            f"has (it has {', '.join(columns)}). {model.fix}"
        )
    if (predictor.classes is not None) != (TASKS[task].answers == "classes"):
        kind = "regressor" if predictor.classes is None else "classifier"
        raise OstinatoError(f"{model.called} is a {kind}, but the task is {task}. {model.fix}")
    return model


def predict_all(models: Sequence[Model], path: Path, actual: Actual) -> list[Prediction]:
    """Let every model predict every row of the file; each gets its own copy of the same immutable batch.

    Raises OstinatoError that names how many predictions are wrong and the first row of them.
    """
    columns = sorted({name for model in models for name in model.predictor.inputs})
    parts: list[list[Prediction]] = [[] for _ in models]
    start = 0
    for batch in batches(path, columns):
        for model, part in zip(models, parts, strict=True):
            part.append(predict(model, batch.to_pandas(), actual.classes, start))
        start += batch.height
    assert start == actual.rows, f"the labels are {actual.rows} rows, the batches {start}"
    return [_joined(part) for part in parts]


def predict(model: Model, rows: pd.DataFrame, classes: np.ndarray | None, start: int = 0) -> Prediction:
    """Predict some rows and check every value. start: position of the first row, for messages."""
    try:
        values = np.asarray(model.predictor.predict(rows))
        chances = None if classes is None else model.predictor.predict_proba(rows)
    except PREDICT_ERRORS as error:
        raise OstinatoError(
            f"{model.called} can't predict the test rows: {type(error).__name__}: {error}. {model.fix}"
        ) from error
    if values.shape != (len(rows),):
        raise OstinatoError(
            f"{model.called} gave predictions of shape {values.shape} for {len(rows)} rows; need ({len(rows)},): "
            "one value a row"
        )
    if classes is None:
        return Prediction(_checked_numbers(model, values, start))
    return Prediction(
        _checked_labels(model, values, classes, start), _checked_chances(model, chances, classes, len(rows), start)
    )


def _checked_numbers(model: Model, values: np.ndarray, start: int) -> np.ndarray:
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise OstinatoError(f"{model.called} predicts values of type {values.dtype}; a regression needs numbers")
    values = values.astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise OstinatoError(
            f"{model.called} predicts NaN or infinity for {len(bad)} of {len(values)} rows; the first is test row "
            f"{start + bad[0]} ({values[bad[0]]}). A prediction must be a finite number: mend train() or its inputs"
        )
    return values


def _checked_labels(model: Model, values: np.ndarray, classes: np.ndarray, start: int) -> np.ndarray:
    positions = class_positions(values, classes)
    bad = np.flatnonzero(positions < 0)
    if len(bad):
        raise OstinatoError(
            f"{model.called} predicts labels that are no classes for {len(bad)} of {len(values)} rows; the first is "
            f"test row {start + bad[0]} ({values[bad[0]]!r}). Known classes: {', '.join(map(repr, classes.tolist()))}"
        )
    return positions


def _checked_chances(
    model: Model, chances: np.ndarray | None, classes: np.ndarray, rows: int, start: int
) -> np.ndarray | None:
    """Probabilities (n, classes) in the order of ``classes``; a class that the model does not know has 0."""
    if chances is None:
        return None
    known = model.predictor.classes
    assert known is not None
    chances = np.asarray(chances, dtype=np.float64)
    if chances.shape != (rows, len(known)):
        raise OstinatoError(f"{model.called} gave probabilities of shape {chances.shape}; need ({rows}, {len(known)})")
    sums = chances.sum(axis=1)
    wrong = ~(np.abs(sums - 1) < 1e-3) | (chances < 0).any(axis=1)
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise OstinatoError(
            f"{model.called} gives probabilities that are NaN, negative or do not sum to 1 for {len(bad)} of {rows} "
            f"rows; the first is test row {start + bad[0]} ({chances[bad[0]].tolist()})"
        )
    positions = class_positions(np.asarray(known), classes)
    if np.array_equal(positions, np.arange(len(classes))):
        return chances
    placed = np.zeros((rows, len(classes)))
    placed[:, positions] = chances
    return placed


def check_same_labels(model: Model, actual: Actual) -> None:
    """Raises OstinatoError if the model knows none of the labels that occur: text against numbers, most often."""
    assert actual.classes is not None and model.predictor.classes is not None
    occurs = actual.classes[np.unique(actual.values)].tolist()
    known = model.predictor.classes.tolist()
    if not set(occurs) & set(known):
        raise OstinatoError(f"{model.called} knows the classes {known}, but the test rows have {occurs}. {model.fix}")


def baseline_prediction(
    baseline: Baseline, labels: "pl.DataFrame", train: Path, target: str, actual: Actual
) -> tuple[str, Prediction]:
    """Name and prediction of the baseline. ``mean`` and ``majority`` read the training rows' target.

    ``majority`` says the most frequent class (the first in order of two equal ones), with the classes' frequencies
    as probabilities. Raises InputError for a column with values that can't be predictions.
    """
    import polars as pl

    if baseline.kind == "column":
        assert baseline.column is not None
        return baseline.name or f"column {baseline.column}", _column_prediction(labels[baseline.column], actual)
    known = pl.read_parquet(train, columns=[target])[target]
    if baseline.kind == "mean":
        mean = float(np.mean(known.to_numpy().astype(np.float64)))
        return baseline.name or "mean of training rows", Prediction(np.full(actual.rows, mean))
    assert actual.classes is not None
    positions = class_positions(known.to_numpy(), actual.classes)
    counts = np.bincount(positions[positions >= 0], minlength=len(actual.classes))
    chances = np.broadcast_to(counts / counts.sum(), (actual.rows, len(actual.classes)))
    return baseline.name or "majority class", Prediction(np.full(actual.rows, counts.argmax()), chances)


def _column_prediction(column: "pl.Series", actual: Actual) -> Prediction:
    if actual.classes is not None:
        positions = class_positions(column.to_numpy(), actual.classes)
        if (positions < 0).any():
            raise InputError(
                f"quality.baseline.column {column.name!r} holds {column[int((positions < 0).argmax())]!r}, which is no "
                f"class of the target ({', '.join(map(repr, actual.classes.tolist()))})"
            )
        return Prediction(positions)
    if not column.dtype.is_numeric() or not np.isfinite(column.to_numpy()).all():
        raise InputError(f"quality.baseline.column {column.name!r} must hold finite numbers; it is {column.dtype}")
    return Prediction(column.to_numpy().astype(np.float64, copy=False))


def _joined(parts: list[Prediction]) -> Prediction:
    chances = [part.probabilities for part in parts if part.probabilities is not None]
    return Prediction(
        np.concatenate([part.values for part in parts]), np.concatenate(chances) if len(chances) == len(parts) else None
    )


@dataclass(frozen=True)
class Predictions:
    """What happened on the test rows, and what everyone predicted."""

    labels: "pl.DataFrame"
    """Target, time, slice and baseline columns, (rows, columns)."""
    actual: Actual
    models: tuple[Model, ...]
    """The candidate, and the champion where there is one."""
    all: tuple[Prediction, ...]
    """Of the models, then of the baseline where there is one."""
    baseline_name: str

    @property
    def candidate(self) -> Prediction:
        return self.all[0]

    @property
    def champion(self) -> Prediction | None:
        return self.all[1] if len(self.models) > 1 else None
