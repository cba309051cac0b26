"""The artifacts that an engine hands to evaluate, filled as the step fills them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import dsl

from components.evaluate.publish import publish
from delivery.documents.verdict import Verdict


@dataclass(frozen=True)
class Shown:
    verdict: dsl.Artifact
    metrics: dsl.Metrics
    curves: dsl.ClassificationMetrics
    summary: dsl.Markdown


def show(folder: Path, found: Verdict, answers: Any = None) -> Shown:
    folder.mkdir(parents=True, exist_ok=True)
    shown = Shown(
        verdict=dsl.Artifact(uri=str(folder / "verdict.json")),
        metrics=dsl.Metrics(uri=str(folder / "metrics")),
        curves=dsl.ClassificationMetrics(uri=str(folder / "curves")),
        summary=dsl.Markdown(uri=str(folder / "summary.md")),
    )
    assert publish(found, answers, shown.verdict, shown.metrics, shown.curves, shown.summary) == found.decision
    return shown
