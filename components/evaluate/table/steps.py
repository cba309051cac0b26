"""Assessing a model of a table: read, predict, score; and its pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from components.evaluate.shared.bootstrap import Groups, draw, random_groups, time_blocks
from components.evaluate.shared.contender import entrants
from components.evaluate.shared.page import PageInputs
from components.evaluate.shared.rows import sample_positions
from components.evaluate.shared.scored import Assessed, ScoredContenders
from components.evaluate.shared.slices import measure_slices
from components.evaluate.table.contenders import (
    Model,
    Predictions,
    baseline_prediction,
    check_same_labels,
    open_model,
    predict_all,
)
from components.evaluate.table.evidently_report import InputDrift, measure_drift, write_evidently_report
from components.evaluate.table.metrics import Prediction
from components.evaluate.table.scoring import score, slice_metric
from components.evaluate.table.table_page import write_table_page
from components.evaluate.table.test_side import read_actual, read_labels, sample_rows
from delivery.documents.data_card import TEST_FILE, TRAIN_FILE, DataCard
from delivery.documents.sample import Sample, make_sample
from training.spec import TASKS, DataSpec, QualitySpec, Task

if TYPE_CHECKING:
    import polars as pl


def assess_predictions(inputs: EvaluateInputs) -> Assessed:
    """Score what candidate, champion and baseline predict. Raises InputError for a spec or rows that can't be judged,
    OstinatoError for a model that can't be."""
    contract, card = DataSpec.model_validate_json(inputs.data_spec), inputs.card
    columns = [column.name for column in card.columns]
    models = [open_model(entrant, cast(Task, inputs.task), columns) for entrant in entrants(inputs)]
    predictions = predict_rows(inputs, contract, models)
    drift = input_drift(inputs)

    def write_pages(outputs: EvaluateOutputs, shared: PageInputs) -> None:
        write_evidently(outputs.evidently, predictions, drift, inputs.quality.sample_rows)
        times = predictions.labels[contract.time] if contract.time else None
        write_table_page(outputs.report, shared, predictions, times)

    warnings = (*card.warnings, *collect_warnings(contract, card, models, drift))
    return Assessed(
        models,
        predictions.baseline_name,
        score_contenders(contract, inputs.quality, predictions, drift),
        draw_sample(inputs, predictions),
        predictions.actual.rows,
        {"test_from": card.test.time_from, "test_to": card.test.time_to, "warnings": warnings},
        write_pages,
        predictions,
    )


def predict_rows(inputs: EvaluateInputs, contract: DataSpec, models: Sequence[Model]) -> Predictions:
    """Let everyone predict the same test rows. Raises what :func:`assess_predictions` raises."""
    quality, task = inputs.quality, cast(Task, inputs.task)
    labels = read_labels(inputs.test_file, contract, quality)
    known = [model.predictor.classes for model in models if model.predictor.classes is not None]
    actual = read_actual(labels[contract.target], task, known)
    if TASKS[task].answers == "classes":
        for model in models:
            check_same_labels(model, actual)
    predictions = predict_all(models, inputs.test_file, actual)
    name = ""
    if quality.baseline:
        train_file = inputs.data / TRAIN_FILE
        name, prediction = baseline_prediction(quality.baseline, labels, train_file, contract.target, actual)
        predictions.append(prediction)
    return Predictions(labels, actual, tuple(models), tuple(predictions), name)


def input_drift(inputs: EvaluateInputs) -> InputDrift:
    """Drift of the input columns between seeded samples of the training rows and of the test rows."""
    columns = [column.name for column in inputs.card.columns if column.role == "input"]
    sides = [sample_rows(inputs.data / name, columns, inputs.quality.sample_rows) for name in (TRAIN_FILE, TEST_FILE)]
    return measure_drift(sides[0], sides[1])


def score_contenders(
    contract: DataSpec, quality: QualitySpec, predictions: Predictions, drift: InputDrift
) -> ScoredContenders:
    """Score everyone with the same resamples, and measure what the checks ask for."""
    actual, task = predictions.actual, predictions.actual.task
    groups = row_groups(contract, predictions.labels)
    weights = draw(groups.count)
    scores = [score(actual, prediction, groups, weights) for prediction in predictions.all]
    of_models = predictions.all[: len(predictions.models)]
    return ScoredContenders(
        task=task,
        confidence=quality.confidence,
        candidate=scores[0],
        champion=scores[1] if len(predictions.models) > 1 else None,
        baseline=scores[-1] if quality.baseline else None,
        unit=contract.columns[contract.target].unit,
        slices=measure_slices(
            quality, task, predictions.labels, lambda metric, slices: slice_metric(metric, actual, of_models, slices)
        ),
        drift=drift.columns,
    )


def draw_sample(inputs: EvaluateInputs, predictions: Predictions) -> Sample:
    """Seeded test rows for the proof with the candidate's answers: class labels, not their positions."""
    candidate, actual = predictions.models[0], predictions.actual
    most = inputs.quality.servable.rows_for(actual.task)
    values = predictions.candidate.values[sample_positions(actual.rows, most)]
    expected = values if actual.classes is None else actual.classes[values]
    rows = sample_rows(inputs.test_file, candidate.predictor.inputs, most).to_pandas()
    return make_sample(inputs.model, actual.task, candidate.digest, rows, expected, inputs.tolerance)


def row_groups(contract: DataSpec, labels: "pl.DataFrame") -> Groups:
    """Blocks in time where the split orders the rows by time, else groups at random."""
    if contract.split.by != "time" or contract.time is None:
        return random_groups(labels.height)
    times = labels[contract.time]
    first, last = times.min(), times.max()
    assert isinstance(first, date) and isinstance(last, date), "data.time is a date or a datetime column"
    return time_blocks(labels.height, last.toordinal() - first.toordinal() + 1)


def write_evidently(path: Path, predictions: Predictions, drift: InputDrift, most: int) -> None:
    """Evidently's page on the seeded sample of the test rows."""
    actual = predictions.actual
    rows = sample_positions(actual.rows, most)

    def part(prediction: Prediction) -> Prediction:
        chances = prediction.probabilities
        return Prediction(prediction.values[rows], None if chances is None else chances[rows])

    champion = None if predictions.champion is None else part(predictions.champion)
    write_evidently_report(
        path, replace(actual, values=actual.values[rows]), part(predictions.candidate), champion, drift
    )


def collect_warnings(contract: DataSpec, card: DataCard, models: Sequence[Model], drift: InputDrift) -> tuple[str, ...]:
    """What a reviewer should know that no check says."""
    warnings: list[str] = []
    if drift.not_measured:
        warnings.append(
            f"drift is not measured for {', '.join(drift.not_measured)}: no values, or neither number nor text"
        )
    start = card.test.time_from
    for model in models if contract.split.by == "time" else ():
        seen = model.predictor.facts.get("train_time_to")
        if not seen or start is None or _utc(datetime.fromisoformat(seen)) < _utc(start):
            continue
        trained = f"{model.called} was trained on rows up to {seen}, the test rows start at {start.isoformat()}"
        if model.role == "candidate":
            warnings.append(f"{trained}: its figures are too good")
        else:
            warnings.append(f"{trained}: the comparison favours it, so passing against it is harder than it should be")
    return tuple(warnings)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
