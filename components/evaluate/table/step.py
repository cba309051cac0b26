"""The evaluate step, from top to bottom: read, predict, score, serve, check, decide, show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.evaluate.checks.decide import decide, judge
from components.evaluate.shared.bootstrap import draw, random_groups, time_blocks
from components.evaluate.shared.contender import has_champion
from components.evaluate.shared.groups import Groups
from components.evaluate.shared.page import Shared
from components.evaluate.shared.rows import check_rows, sample_positions
from components.evaluate.shared.scored import Evidence
from components.evaluate.shared.slices import judge_slices
from components.evaluate.shared.summary import contender_rows, paired_changes, paired_differences
from components.evaluate.table.contenders import (
    Answers,
    Model,
    baseline_prediction,
    check_same_labels,
    open_model,
    predict_all,
)
from components.evaluate.table.evidently_report import Drift, measure_drift, write_report
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.page import Shown, write_table_page
from components.evaluate.table.rows import read_actual, read_labels, sample_rows
from components.evaluate.table.scoring import score, slice_metric
from components.evaluate.table.warnings import warnings
from delivery.documents.data_card import DATA_CARD_FILE, TEST_FILE, TRAIN_FILE, DataCard
from delivery.documents.sample import Sample, make_sample
from delivery.documents.verdict import Verdict
from delivery.serving.proof.prove import prove
from training.spec.model import METRICS, DataSpec, LatencyCheck, QualitySpec, ServingSpec, Task

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Judged:
    """The verdict, and what KFP's curves are drawn from."""

    verdict: Verdict
    answers: Answers


def evaluate(
    model: str,
    task: str,
    data_spec: str,
    quality_spec: str,
    serving_spec: str,
    champion_version: str,
    spec_digest: str,
    code: str,
    data: Path,
    candidate: Path,
    champion: Path,
    verdict_file: Path,
    report_file: Path,
    evidently_file: Path,
    sample_file: Path,
    evidently_link: str = "evidently.html",
) -> Judged:
    """Judge the candidate against the champion and the baseline on the test rows, and prove that it can be served;
    write verdict, reports and the sample of the proof.

    serving_spec: ``ServingSpec.proven_json``. data: the folder that preprocess wrote. champion: a model folder, empty
    or missing when there is none. evidently_link: where the report page finds Evidently's page; empty for no link.
    Raises InputError for a spec or rows that can't be judged, OstinatoError for a model that can't be.
    """
    contract, quality = DataSpec.model_validate_json(data_spec), QualitySpec.model_validate_json(quality_spec)
    card = DataCard.read(data / DATA_CARD_FILE)
    check_rows(data / TEST_FILE, card)

    columns = [column.name for column in card.columns]
    models = open_models(candidate, champion, champion_version, cast(Task, task), columns)
    answers = predict_rows(data, contract, quality, models, cast(Task, task))
    drift = input_drift(data, card, quality)
    evidence = gather_evidence(contract, quality, answers, drift)
    serving = ServingSpec.model_validate_json(serving_spec)
    tolerance = quality.servable.tolerance_for(serving.model_format)
    sample = draw_sample(model, data, quality.servable.rows_for(answers.actual.task), tolerance, answers)
    sample.write(sample_file)
    served = prove(candidate, sample, serving, concurrencies(quality))
    checks = judge(quality, evidence, served)
    verdict = Verdict(
        model=model,
        task=evidence.task,
        decision=decide(checks),
        metric=quality.metric,
        direction=METRICS[evidence.task][quality.metric],
        confidence=quality.confidence,
        rows=answers.actual.rows,
        sample_rows=min(answers.actual.rows, quality.sample_rows),
        contenders=contender_rows(model, models, answers.baseline_name, evidence),
        differences=paired_differences(evidence),
        checks=checks,
        slices=tuple(one for found in evidence.slices.values() for one in found),
        drift=drift.columns,
        served=served,
        data_fingerprint=card.fingerprint,
        test_from=card.test.time_from,
        test_to=card.test.time_to,
        spec_digest=spec_digest,
        code=code,
        warnings=(*card.warnings, *warnings(contract, card, models, drift)),
    )
    verdict.write(verdict_file)
    write_evidently(evidently_file, answers, drift, quality.sample_rows)
    shown = Shown(
        answers.actual,
        answers.predictions[0],
        answers.champion,
        times=answers.labels[contract.time] if contract.time else None,
        unit=evidence.unit,
    )
    write_table_page(report_file, Shared(verdict, card, paired_changes(evidence), evidence.unit, evidently_link), shown)
    return Judged(verdict, answers)


def predict_rows(data: Path, contract: DataSpec, quality: QualitySpec, models: Sequence[Model], task: Task) -> Answers:
    """Let everyone predict the same test rows. Raises what :func:`evaluate` raises."""
    test = data / TEST_FILE
    labels = read_labels(test, contract, quality)
    known = [one.predictor.classes for one in models if one.predictor.classes is not None]
    actual = read_actual(labels[contract.target], task, known)
    if task == "classification":
        for one in models:
            check_same_labels(one, actual)
    predictions = predict_all(models, test, actual)
    name = ""
    if quality.baseline:
        name, said = baseline_prediction(quality.baseline, labels, data / TRAIN_FILE, contract.target, actual)
        predictions.append(said)
    return Answers(labels, actual, tuple(models), tuple(predictions), name)


def input_drift(data: Path, card: DataCard, quality: QualitySpec) -> Drift:
    """Drift of the input columns between seeded samples of the training rows and of the test rows."""
    inputs = [column.name for column in card.columns if column.role == "input"]
    sides = [sample_rows(data / name, inputs, quality.sample_rows) for name in (TRAIN_FILE, TEST_FILE)]
    return measure_drift(sides[0], sides[1])


def gather_evidence(contract: DataSpec, quality: QualitySpec, answers: Answers, drift: Drift) -> Evidence:
    """Score everyone with the same resamples, and measure what the checks ask for."""
    groups = row_groups(contract, answers.labels)
    weights = draw(groups.count)
    scores = [score(answers.actual, prediction, groups, weights) for prediction in answers.predictions]
    return Evidence(
        task=answers.actual.task,
        confidence=quality.confidence,
        candidate=scores[0],
        champion=scores[1] if len(answers.models) > 1 else None,
        baseline=scores[-1] if quality.baseline else None,
        unit=contract.columns[contract.target].unit,
        slices=judge_slices(
            quality,
            answers.actual.task,
            answers.labels,
            lambda metric, slices: slice_metric(
                metric, answers.actual, answers.predictions[: len(answers.models)], slices
            ),
        ),
        drift=drift.columns,
    )


def draw_sample(model: str, data: Path, most: int, tolerance: float, answers: Answers) -> Sample:
    """At most so many seeded test rows with what the candidate said about them: class labels, not their positions."""
    candidate = answers.models[0]
    said = answers.predictions[0].values[sample_positions(answers.actual.rows, most)]
    expected = said if answers.actual.classes is None else answers.actual.classes[said]
    rows = sample_rows(data / TEST_FILE, candidate.predictor.inputs, most).to_pandas()
    return make_sample(model, answers.actual.task, candidate.digest, rows, expected, tolerance)


def concurrencies(quality: QualitySpec) -> list[int]:
    """At which latency is measured: where a check asks, else one request at a time."""
    return sorted({check.concurrency for check in quality.checks if isinstance(check, LatencyCheck)} or {1})


def open_models(candidate: Path, champion: Path, version: str, task: Task, columns: Sequence[str]) -> list[Model]:
    """The candidate, and the champion where there is one. Raises OstinatoError if either can't be judged."""
    models = [open_model(candidate, "candidate", "", task, columns)]
    if has_champion(champion, version):
        models.append(open_model(champion, "champion", version, task, columns))
    return models


def row_groups(contract: DataSpec, labels: "pl.DataFrame") -> Groups:
    """Blocks in time where the split orders the rows by time, else groups at random."""
    if contract.split.by != "time" or contract.time is None:
        return random_groups(labels.height)
    times = labels[contract.time]
    first, last = times.min(), times.max()
    assert isinstance(first, date) and isinstance(last, date), "data.time is a date or a datetime column"
    return time_blocks(labels.height, last.toordinal() - first.toordinal() + 1)


def write_evidently(path: Path, answers: Answers, drift: Drift, most: int) -> None:
    """Evidently's page on the seeded sample of the test rows."""
    rows = sample_positions(answers.actual.rows, most)

    def part(prediction: Prediction) -> Prediction:
        chances = prediction.probabilities
        return Prediction(prediction.values[rows], None if chances is None else chances[rows])

    actual = Actual(answers.actual.values[rows], answers.actual.classes)
    champion = None if answers.champion is None else part(answers.champion)
    write_report(path, actual, part(answers.predictions[0]), champion, drift)
