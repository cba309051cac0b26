"""The verdict as KFP shows it: Markdown, metrics, ROC curve and confusion matrix.

What the UI reads: kubeflow/pipelines, frontend/src/components/viewers/MetricsVisualizations.tsx.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.table.curves import confusion
from components.evaluate.table.roc import roc_points
from delivery.documents.verdict import Verdict
from delivery.documents.verdict_markdown import verdict_text

if TYPE_CHECKING:
    from components.evaluate.table.contenders import Predictions


def publish(
    document: Verdict, predictions: "Predictions | None", verdict: Any, metrics: Any, curves: Any, summary: Any
) -> str:
    """Fill KFP's artifacts and return the decision.

    predictions: what ROC and confusion are drawn from; None for a language model. verdict: `dsl.Artifact`, gets
    decision and digest as metadata. metrics: `dsl.Metrics`, gets ``candidate_<metric>``, ``champion_<metric>``,
    ``baseline_<metric>``, and ``judge_<opponent>_win_rate``. curves: `dsl.ClassificationMetrics`, for classifiers
    only. summary: `dsl.Markdown`, the verdict in words. A file is written at the paths of metrics and curves as well:
    an artifact without one is never cached. Numbers are finite, since JSON has no others.
    """
    values = {
        f"{contender.role}_{name}": measure.value
        for contender in document.contenders
        for name, measure in contender.metrics.items()
    }
    rates = {f"judge_{report.against}_win_rate": report.win_rate for report in document.judges}
    values |= {name: rate for name, rate in rates.items() if rate is not None}
    values = {name: value for name, value in values.items() if math.isfinite(value)}
    for name, value in values.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if predictions is not None and predictions.actual.classes is not None:
        _draw(predictions, curves)
    Path(curves.path).write_text(json.dumps(dict(curves.metadata), sort_keys=True) + "\n", encoding="utf-8")
    Path(summary.path).write_text(verdict_text(document), encoding="utf-8")
    verdict.metadata.update({"decision": document.decision, "digest": document.digest(), "rows": document.rows})
    return document.decision


def _draw(predictions: "Predictions", curves: Any) -> None:
    """Confusion matrix, and the ROC curve of two classes with probabilities."""
    actual, candidate = predictions.actual, predictions.candidate
    assert actual.classes is not None
    labels = [str(label) for label in actual.classes]
    curves.log_confusion_matrix(labels, confusion(actual, candidate).tolist())
    if len(labels) == 2 and candidate.probabilities is not None:
        curves.log_roc_curve(*(points.tolist() for points in roc_points(actual, candidate)))
