"""The verdict as KFP shows it: metrics, ROC curve and confusion matrix."""

import json
from pathlib import Path
from typing import Any

from components.evaluate.curves import confusion
from components.evaluate.roc import roc_points
from components.evaluate.steps import Judged


def publish(judged: Judged, verdict: Any, metrics: Any, curves: Any) -> str:
    """Fill KFP's artifacts and return the decision.

    verdict: `dsl.Artifact`, gets decision and digest as metadata. metrics: `dsl.Metrics`, gets
    ``candidate_<metric>``, ``champion_<metric>`` and ``baseline_<metric>``. curves: `dsl.ClassificationMetrics`, for
    classifiers only. A file is written at the paths of the last two as well: an artifact without one is never cached.
    """
    found = {
        f"{one.role}_{name}": measure.value
        for one in judged.verdict.contenders
        for name, measure in one.metrics.items()
    }
    for name, value in found.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    actual, candidate = judged.answers.actual, judged.answers.predictions[0]
    if actual.classes is not None:
        labels = [str(label) for label in actual.classes]
        curves.log_confusion_matrix(labels, confusion(actual, candidate).tolist())
        if len(labels) == 2 and candidate.probabilities is not None:
            curves.log_roc_curve(*(points.tolist() for points in roc_points(actual, candidate)))
    Path(curves.path).write_text(json.dumps(dict(curves.metadata), sort_keys=True) + "\n", encoding="utf-8")
    verdict.metadata.update({"decision": judged.verdict.decision, "digest": judged.verdict.digest()})
    return judged.verdict.decision
