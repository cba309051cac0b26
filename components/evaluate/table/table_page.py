"""The report page of a table's model: the shared page with charts of predicted and actual values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.shared.page import PageInputs, write_page
from components.evaluate.shared.rows import sample_positions
from components.evaluate.table.curves import calibration, confusion, means_over_time
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.roc import roc_points
from delivery.documents.numbers import short

if TYPE_CHECKING:
    import polars as pl

SCATTER_POINTS = 800
LAST_ROWS = 96


@dataclass(frozen=True)
class ChartedRows:
    """What the charts need besides the verdict."""

    actual: Actual
    candidate: Prediction
    champion: Prediction | None
    times: "pl.Series | None"
    """The time of each test row, (rows,)."""
    unit: str
    """Of the target."""


def write_table_page(path: Path, shared: PageInputs, charted: ChartedRows) -> None:
    """Render and write the page."""
    charts, matrix = _charts(charted), _matrix(charted.actual, charted.candidate)
    write_page(path, "table/page.html.j2", shared, charts=charts, matrix=matrix)


def _charts(charted: ChartedRows) -> list[dict[str, Any]]:
    """Title, note, legend and SVG of the charts that fit the task."""
    if charted.actual.classes is not None:
        return _probability_charts(charted.actual, charted.candidate, charted.champion)
    over_time = [] if charted.times is None else _time_charts(charted, charted.times)
    return over_time or [_scatter(charted.actual, charted.candidate, charted.unit)]


def _time_charts(charted: ChartedRows, times: "pl.Series") -> list[dict[str, Any]]:
    """The whole period in means, its last rows as they are, and the absolute error in means."""

    from components.evaluate.shared.charts import time_chart

    values = {"actual": charted.actual.values}
    values |= {"champion": charted.champion.values} if charted.champion is not None else {}
    values["candidate"] = charted.candidate.values
    errors = {name: np.abs(value - charted.actual.values) for name, value in values.items() if name != "actual"}
    of = f", {charted.unit}" if charted.unit else ""
    parts = [
        (f"Predicted and actual{of}", values, slice(None), 230),
        (f"The last {LAST_ROWS} rows{of}", values, slice(-LAST_ROWS, None), 230),
        (f"Absolute error{of}", errors, slice(None), 170),
    ]
    charts = []
    for title, series, rows, height in parts:
        means = means_over_time(times[rows], {name: value[rows] for name, value in series.items()})
        if means is not None and not (rows.start and charted.actual.rows <= LAST_ROWS):
            note = f"means of {_duration(means.step_hours)}"
            svg = time_chart(means, list(series), title, height)
            charts.append({"title": title, "note": note, "legend": list(series), "svg": svg})
    return charts


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{short(hours * 60)} min"
    return f"{short(hours)} h" if hours < 24 else f"{short(hours / 24)} d"


def _scatter(actual: Actual, candidate: Prediction, unit: str) -> dict[str, Any]:
    from components.evaluate.shared.charts import scatter_chart

    rows = sample_positions(actual.rows, SCATTER_POINTS)
    svg = scatter_chart(actual.values[rows], candidate.values[rows], "predicted against actual", unit)
    note = f"{len(rows):,} of {actual.rows:,} test rows. On the dashed line a prediction is perfect."
    return {"title": "Predicted against actual", "note": note, "legend": ["candidate"], "svg": svg}


def _probability_charts(actual: Actual, candidate: Prediction, champion: Prediction | None) -> list[dict[str, Any]]:
    """ROC and calibration of two-class models."""

    from components.evaluate.shared.charts import square_chart

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
    reliability = [(name, *calibration(actual, prediction)[:2]) for name, prediction in shown.items()]
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
