"""The evaluate step, from top to bottom: read, predict, score, serve, check, decide, show."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.evaluate.checks.decide import decide_verdict
from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from components.evaluate.shared.bootstrap import draw, random_groups, time_blocks
from components.evaluate.shared.contender import has_champion
from components.evaluate.shared.groups import Groups
from components.evaluate.shared.page import PageInputs
from components.evaluate.shared.rows import sample_positions
from components.evaluate.shared.scored import Measured, ScoredContenders
from components.evaluate.shared.slices import measure_slices
from components.evaluate.shared.summary import contender_rows, paired_changes
from components.evaluate.table.contenders import (
    Model,
    Predictions,
    baseline_prediction,
    check_same_labels,
    open_model,
    predict_all,
)
from components.evaluate.table.evidently_report import InputDrift, measure_drift, write_evidently_report
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.scoring import score, slice_metric
from components.evaluate.table.table_page import ChartedRows, write_table_page
from components.evaluate.table.test_side import read_actual, read_labels, sample_rows
from components.evaluate.table.warnings import collect_warnings
from delivery.documents.data_card import TEST_FILE, TRAIN_FILE, DataCard
from delivery.documents.sample import Sample, make_sample
from delivery.documents.verdict import Verdict
from delivery.serving.proof.prove import prove
from training.spec import DataSpec, LatencyCheck, QualitySpec, Task

if TYPE_CHECKING:
    import polars as pl


def evaluate_predictions(inputs: EvaluateInputs, outputs: EvaluateOutputs) -> tuple[Verdict, Predictions]:
    """Judge the candidate against the champion and the baseline on the test rows, and prove that it can be served;
    write verdict, reports and the sample of the proof. Returns the verdict, and what KFP's curves are drawn from.

    Raises InputError for a spec or rows that can't be judged, OstinatoError for a model that can't be.
    """
    contract, quality = DataSpec.model_validate_json(inputs.data_spec), inputs.quality
    models = open_models(inputs)
    predictions = predict_rows(inputs, contract, models)
    drift = input_drift(inputs)
    scored = score_contenders(contract, quality, predictions, drift)
    sample = draw_sample(inputs, predictions)
    sample.write(outputs.sample)
    served = prove(inputs.candidate, sample, inputs.serving, concurrencies(quality))
    verdict = decide_verdict(
        inputs,
        Measured(scored, served),
        contender_rows(inputs.model, models, predictions.baseline_name, scored),
        predictions.actual.rows,
        test_from=inputs.card.test.time_from,
        test_to=inputs.card.test.time_to,
        warnings=(*inputs.card.warnings, *collect_warnings(contract, inputs.card, models, drift)),
    )
    verdict.write(outputs.verdict)
    write_evidently(outputs.evidently, predictions, drift, quality.sample_rows)
    write_report(outputs, inputs.card, verdict, scored, predictions, contract)
    return verdict, predictions


def open_models(inputs: EvaluateInputs) -> list[Model]:
    """The candidate, and the champion where there is one. Raises OstinatoError if either can't be judged."""
    columns, task = [column.name for column in inputs.card.columns], cast(Task, inputs.task)
    models = [open_model(inputs.candidate, "candidate", "", task, columns)]
    if has_champion(inputs.champion, inputs.champion_version):
        models.append(open_model(inputs.champion, "champion", inputs.champion_version, task, columns))
    return models


def predict_rows(inputs: EvaluateInputs, contract: DataSpec, models: Sequence[Model]) -> Predictions:
    """Let everyone predict the same test rows. Raises what :func:`evaluate_predictions` raises."""
    quality, task = inputs.quality, cast(Task, inputs.task)
    labels = read_labels(inputs.test_file, contract, quality)
    known = [model.predictor.classes for model in models if model.predictor.classes is not None]
    actual = read_actual(labels[contract.target], task, known)
    if task == "classification":
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


def concurrencies(quality: QualitySpec) -> list[int]:
    """At which latency is measured: where a check asks, else one request at a time."""
    return sorted({check.concurrency for check in quality.checks if isinstance(check, LatencyCheck)} or {1})


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
        path, Actual(actual.values[rows], actual.classes), part(predictions.candidate), champion, drift
    )


def write_report(
    outputs: EvaluateOutputs,
    card: DataCard,
    verdict: Verdict,
    scored: ScoredContenders,
    predictions: Predictions,
    contract: DataSpec,
) -> None:
    """The page that a reviewer decides from."""
    charted = ChartedRows(
        predictions.actual,
        predictions.candidate,
        predictions.champion,
        times=predictions.labels[contract.time] if contract.time else None,
        unit=scored.unit,
    )
    shared = PageInputs(verdict, card, paired_changes(scored), scored.unit, outputs.evidently_link)
    write_table_page(outputs.report, shared, charted)
