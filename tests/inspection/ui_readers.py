"""What the UIs of the engines read of an artifact, as far as it is published; every rule raises AssertionError.

Kubeflow Pipelines, frontend/src/components/viewers of https://github.com/kubeflow/pipelines:
MetricsVisualizations.tsx at 02a5c70a9ee2f8ad895ce4e0ecd5700571be021d, HTMLViewer.tsx at
06517ffcd7aa193bcc359b091d68925805563478, MarkdownViewer.tsx at 0656c3d5bf2ad950ec9fad8eaeea14547489bfbf. Artifacts are
found by their schema's title. Vertex AI knows the same titles, and keeps metadata as a protobuf Struct:
https://cloud.google.com/vertex-ai/docs/pipelines/artifact-types.
"""

import json
import re
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2

MOST_MARKDOWN = 50 * 1000 * 8
"""Characters of Markdown that Kubeflow renders."""
_LOADED = re.compile(r"<(?:script|iframe|img|embed|object)\b[^>]*\b(?:src|data)\s*=\s*[\"']?\s*(?:https?:)?//", re.I)
_STYLES = re.compile(r"<link\b[^>]*\bhref\s*=\s*[\"']?\s*(?:https?:)?//", re.I)


def metadata_of(artifact: Any) -> dict[str, Any]:
    """The metadata as an engine keeps it: through JSON without NaN, into a Struct and back."""
    text = json.dumps(artifact.metadata, allow_nan=False)
    return json_format.MessageToDict(json_format.Parse(text, struct_pb2.Struct()))


def read_metrics(artifact: Any) -> dict[str, float]:
    """ScalarMetricsSection: a table of a name and a value each."""
    assert artifact.schema_title == "system.Metrics"
    found = metadata_of(artifact)
    assert all(isinstance(value, int | float) for value in found.values()), found
    assert "display_name" not in found, "the UI leaves it out: it is the artifact's own name"
    return found


def read_roc(artifact: Any) -> list[tuple[float, float, float]]:
    """ConfidenceMetricRunType: threshold, false positive rate and recall, all numbers; [] where no curve is drawn."""
    assert artifact.schema_title == "system.ClassificationMetrics"
    keys = ("confidenceThreshold", "falsePositiveRate", "recall")
    points = [tuple(point[key] for key in keys) for point in metadata_of(artifact).get("confidenceMetrics", [])]
    assert all(isinstance(value, int | float) for point in points for value in point), points
    return points  # pyright: ignore[reportReturnType]


def read_confusion(artifact: Any) -> tuple[list[str], list[list[float]]]:
    """validateConfusionMatrix: as many rows as labels, as many numbers in each; rows are true labels."""
    assert artifact.schema_title == "system.ClassificationMetrics"
    matrix = metadata_of(artifact)["confusionMatrix"]
    labels = [one["displayName"] for one in matrix["annotationSpecs"]]
    rows = [one["row"] for one in matrix["rows"]]
    assert all(isinstance(label, str) for label in labels)
    assert len(rows) == len(labels) and all(len(row) == len(labels) for row in rows)
    return labels, rows


def read_html(artifact: Any, path: Path) -> str:
    """HTMLViewer: the file as `srcdoc` of a frame with sandbox="allow-scripts"; nothing else can be counted on."""
    assert artifact.schema_title == "system.HTML"
    page = path.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith(("<!doctype html", "<html"))
    for rule in (_LOADED, _STYLES):
        assert not (found := rule.search(page)), found[0][:200]
    return page


def read_markdown(artifact: Any, path: Path) -> str:
    """MarkdownViewer: without raw HTML, cut after MOST_MARKDOWN characters."""
    assert artifact.schema_title == "system.Markdown"
    text = path.read_text(encoding="utf-8")
    assert 0 < len(text) <= MOST_MARKDOWN
    return text
