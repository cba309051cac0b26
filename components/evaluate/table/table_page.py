"""The report page of a table's model: the shared page with charts of predicted and actual values."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.shared.charts import scatter_chart, square_chart, time_chart
from components.evaluate.shared.page import PageInputs, write_page
from components.evaluate.shared.rows import sample_positions
from components.evaluate.table.contenders import Predictions
from components.evaluate.table.curves import confusion, means_over_time
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.roc import roc_points
from delivery.documents.numbers import short

if TYPE_CHECKING:
    import polars as pl

SCATTER_POINTS = 800
LAST_ROWS = 96


def write_table_page(path: Path, shared: PageInputs, predictions: Predictions, times: "pl.Series | None") -> None:
    """Render and write the page. times: of each test row, (rows,)."""
    actual, candidate = predictions.actual, predictions.candidate
    if actual.classes is not None:
        charts = _probability_charts(actual, candidate, predictions.champion)
    else:
        over_time = [] if times is None else _time_charts(predictions, times, shared.unit)
        charts = over_time or [_scatter(actual, candidate, shared.unit)]
    write_page(path, "table/page.html.j2", shared, charts=charts, matrix=_matrix(actual, candidate))


def _time_charts(predictions: Predictions, times: "pl.Series", unit: str) -> list[dict[str, Any]]:
    """The whole period in means, its last rows as they are, and the absolute error in means."""
    actual, champion = predictions.actual, predictions.champion
    values = {"actual": actual.values}
    values |= {"champion": champion.values} if champion is not None else {}
    values["candidate"] = predictions.candidate.values
    errors = {name: np.abs(value - actual.values) for name, value in values.items() if name != "actual"}
    of = f", {unit}" if unit else ""
    parts = [
        (f"Predicted and actual{of}", values, slice(None), 230),
        (f"The last {LAST_ROWS} rows{of}", values, slice(-LAST_ROWS, None), 230),
        (f"Absolute error{of}", errors, slice(None), 170),
    ]
    charts = []
    for title, series, rows, height in parts:
        means = means_over_time(times[rows], {name: value[rows] for name, value in series.items()})
        if means is not None and not (rows.start and actual.rows <= LAST_ROWS):
            note = f"means of {_duration(means.step_hours)}"
            svg = time_chart(means, list(series), title, height)
            charts.append({"title": title, "note": note, "legend": list(series), "svg": svg})
    return charts


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{short(hours * 60)} min"
    return f"{short(hours)} h" if hours < 24 else f"{short(hours / 24)} d"


def _scatter(actual: Actual, candidate: Prediction, unit: str) -> dict[str, Any]:
    rows = sample_positions(actual.rows, SCATTER_POINTS)
    svg = scatter_chart(actual.values[rows], candidate.values[rows], "predicted against actual", unit)
    note = f"{len(rows):,} of {actual.rows:,} test rows. On the dashed line a prediction is perfect."
    return {"title": "Predicted against actual", "note": note, "legend": ["candidate"], "svg": svg}


def _probability_charts(actual: Actual, candidate: Prediction, champion: Prediction | None) -> list[dict[str, Any]]:
    """ROC and calibration of two-class models."""
    from sklearn.calibration import calibration_curve

    assert actual.classes is not None
    both = {"champion": champion, "candidate": candidate}
    shown = {
        name: prediction
        for name, prediction in both.items()
        if prediction is not None and prediction.probabilities is not None
    }
    if len(actual.classes) != 2 or "candidate" not in shown:
        return []
    curves = {name: roc_points(actual, prediction)[:2] for name, prediction in shown.items()}
    roc = [(name, np.append(0.0, x), np.append(0.0, y)) for name, (x, y) in curves.items()]
    reliability = []
    for name, prediction in shown.items():
        assert prediction.probabilities is not None
        observed, predicted = calibration_curve(actual.values, prediction.probabilities[:, 1], n_bins=10)
        reliability.append((name, predicted, observed))
    positive = str(actual.classes[1])
    return [
        {
            "title": "ROC curve",
            "note": f"Positive class: {positive}.",
            "legend": list(shown),
            "svg": square_chart(roc, "ROC curves", "false positive rate", "true positive rate"),
        },
        {
            "title": "Calibration",
            "note": "Dashed: probabilities as they happen.",
            "legend": list(shown),
            "svg": square_chart(reliability, "calibration", "predicted probability", "observed share", dots=True),
        },
    ]


def _matrix(actual: Actual, candidate: Prediction) -> dict[str, Any] | None:
    """Labels, counts and shares of each actual class, of the confusion matrix; None for regression."""
    if actual.classes is None:
        return None
    counts = confusion(actual, candidate)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    return {"labels": [str(label) for label in actual.classes], "counts": counts.tolist(), "shares": shares.tolist()}
