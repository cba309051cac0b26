"""The evaluate step, from top to bottom: read, predict, score, check, decide, show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from components.evaluate.bootstrap import draw, random_groups, score, time_blocks
from components.evaluate.checks import Evidence, judge
from components.evaluate.contenders import Model, baseline_prediction, check_same_labels, open_model, predict_all
from components.evaluate.evidently_report import Drift, measure_drift, write_report
from components.evaluate.latency import p99_ms
from components.evaluate.metrics import Actual, Groups, Prediction
from components.evaluate.page import write_page
from components.evaluate.rows import check_rows, read_actual, read_labels, sample_positions, sample_rows
from components.evaluate.slices import judge_slices
from components.evaluate.summary import contender_rows, paired_differences, warnings
from components.evidence import (
    DATA_CARD_FILE,
    TEST_FILE,
    TRAIN_FILE,
    CheckResult,
    DataCard,
    Verdict,
)
from training.errors import OstinatoError
from training.spec import METRICS, DataSpec, QualitySpec, Task

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Judged:
    """The verdict, and what the charts and KFP's curves are drawn from."""

    verdict: Verdict
    actual: Actual
    candidate: Prediction
    champion: Prediction | None


def evaluate(
    model: str,
    task: str,
    data_spec: str,
    quality_spec: str,
    champion_version: str,
    spec_digest: str,
    code: str,
    data: Path,
    candidate: Path,
    champion: Path,
    verdict_file: Path,
    report_file: Path,
    evidently_file: Path,
    evidently_link: str = "evidently.html",
) -> Judged:
    """Judge the candidate against the champion and the baseline on the test rows; write verdict and reports.

    data: the folder that preprocess wrote. champion: a model folder, empty or missing when there is none.
    evidently_link: where the report page finds Evidently's page; empty for no link.
    Raises InputError for a spec or rows that can't be judged, OstinatoError for a model that can't be.
    """
    contract, quality = DataSpec.model_validate_json(data_spec), QualitySpec.model_validate_json(quality_spec)
    task = cast(Task, task)
    card = DataCard.read(data / DATA_CARD_FILE)
    test, train = data / TEST_FILE, data / TRAIN_FILE
    check_rows(test, card)

    models = open_models(candidate, champion, champion_version, task, [column.name for column in card.columns])
    labels = read_labels(test, contract, quality)
    actual = read_actual(
        labels[contract.target], task, [m.predictor.classes for m in models if m.predictor.classes is not None]
    )
    if task == "classification":
        for one in models:
            check_same_labels(one, actual)
    predictions = predict_all(models, test, actual)
    baseline_name = ""
    if quality.baseline:
        baseline_name, said = baseline_prediction(quality.baseline, labels, train, contract.target, actual)
        predictions.append(said)

    groups = row_groups(contract, labels)
    weights = draw(groups.count)
    scores = [score(actual, prediction, groups, weights) for prediction in predictions]
    rival = predictions[1] if len(models) > 1 else None
    slices = judge_slices(quality, actual, predictions[0], rival, labels)

    inputs = [column.name for column in card.columns if column.role == "input"]
    current = sample_rows(test, inputs, quality.sample_rows)
    drift = measure_drift(sample_rows(train, inputs, quality.sample_rows), current)
    evidence = Evidence(
        task=task,
        confidence=quality.confidence,
        candidate=scores[0],
        champion=scores[1] if len(models) > 1 else None,
        baseline=scores[-1] if quality.baseline else None,
        unit=contract.columns[contract.target].unit,
        slices=slices,
        drift=drift.columns,
        latency=lambda: p99_ms(models[0], current.head(100).to_pandas()),
        size_bytes=sum(path.stat().st_size for path in candidate.rglob("*") if path.is_file()),
    )
    checks = judge(quality, evidence)
    verdict = Verdict(
        model=model,
        task=task,
        decision=decide(checks),
        metric=quality.metric,
        direction=METRICS[task][quality.metric],
        confidence=quality.confidence,
        rows=actual.rows,
        sample_rows=current.height,
        contenders=contender_rows(model, models, baseline_name, scores, quality.confidence),
        differences=paired_differences(evidence),
        checks=checks,
        slices=tuple(one for found in slices.values() for one in found),
        drift=drift.columns,
        data_fingerprint=card.fingerprint,
        test_from=card.test.time_from,
        test_to=card.test.time_to,
        spec_digest=spec_digest,
        code=code,
        warnings=(*card.warnings, *warnings(contract, card, models, drift)),
    )
    verdict.write(verdict_file)
    judged = Judged(verdict, actual, predictions[0], rival)
    write_evidently(evidently_file, judged, drift, quality.sample_rows)
    time_column = labels[contract.time] if contract.time else None
    write_page(report_file, verdict, card, actual, predictions[0], rival, time_column, evidence.unit, evidently_link)
    return judged


def open_models(candidate: Path, champion: Path, version: str, task: Task, columns: Sequence[str]) -> list[Model]:
    """The candidate, and the champion where there is one. Raises OstinatoError if either can't be judged."""
    models = [open_model(candidate, "candidate", "", task, columns)]
    there = champion.is_dir() and any(champion.iterdir())
    if there != bool(version):
        found = f"{champion} holds {'a model' if there else 'none'}"
        raise OstinatoError(f"champion_version is {version!r}, but {found}: run the champion step again")
    if there:
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


def decide(checks: Sequence[CheckResult]) -> Literal["pass", "reject"]:
    """Reject if a required check failed."""
    return "reject" if any(check.required and check.status == "failed" for check in checks) else "pass"


def write_evidently(path: Path, judged: Judged, drift: Drift, most: int) -> None:
    """Evidently's page on the seeded sample of the test rows."""
    rows = sample_positions(judged.actual.rows, most)

    def part(prediction: Prediction) -> Prediction:
        chances = prediction.probabilities
        return Prediction(prediction.values[rows], None if chances is None else chances[rows])

    actual = Actual(judged.actual.values[rows], judged.actual.classes)
    champion = None if judged.champion is None else part(judged.champion)
    write_report(path, actual, part(judged.candidate), champion, drift)
