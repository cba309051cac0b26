"""The report page: one HTML file that a reviewer decides from; a view of the verdict, the data card and some charts."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.checks import metric_unit, worse_by
from components.evaluate.curves import calibration, confusion, means_over_time
from components.evaluate.metrics import Actual, Prediction
from components.evaluate.roc import roc_points
from components.evaluate.rows import sample_positions
from components.evaluate.wording import percent, short
from components.evidence import CheckResult, Contender, DataCard, Measure, SliceResult, Verdict
from training.spec import METRICS

if TYPE_CHECKING:
    import polars as pl
    from markupsafe import Markup

SCATTER_POINTS = 800
NONE = "\N{EN DASH}"


def write_page(
    path: Path,
    verdict: Verdict,
    card: DataCard,
    actual: Actual,
    candidate: Prediction,
    champion: Prediction | None,
    times: "pl.Series | None",
    unit: str,
    evidently_link: str,
) -> None:
    """Render and write the page. times: (rows,) of the test rows; unit: of the target."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Environment(
        loader=PackageLoader("components.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"short": short, "percent": percent, "moment": _moment, "signed": _signed}
    text = page.get_template("page.html.j2").render(
        verdict=verdict,
        card=card,
        unit=unit,
        headline=_headline(verdict),
        champion=verdict.contender("champion"),
        baseline=verdict.contender("baseline"),
        metrics=_metric_rows(verdict, unit),
        contender_plot=_contender_plot(verdict, unit),
        change_plot=_change_plot(verdict),
        bounds=[_bounds(check) for check in verdict.checks],
        worse_slices=_worse_slices(verdict),
        drift=sorted(verdict.drift, key=lambda one: (not one.drifted, one.column)),
        charts=_charts(actual, candidate, champion, times, unit),
        matrix=_matrix(actual, candidate),
        evidently_link=evidently_link,
    )
    path.write_text(text, encoding="utf-8")


def _headline(verdict: Verdict) -> str:
    """The decision in one line."""
    refused = len(verdict.refusals)
    champion = verdict.contender("champion")
    if refused:
        what = "required check" if refused == 1 else "required checks"
        return f"{refused} {what} failed. The candidate does not go live."
    if champion is None:
        return "Every required check holds. There is no champion yet: this is the first version."
    return f"Every required check holds. The candidate may replace version {champion.version}."


def _metric_rows(verdict: Verdict, unit: str) -> list[dict[str, Any]]:
    """The metric of record first; each with what every contender has and the change against the others."""
    candidate = verdict.contender("candidate")
    assert candidate is not None
    names = sorted(candidate.metrics, key=lambda name: name != verdict.metric)
    rows = []
    for name in names:
        row: dict[str, Any] = {"name": name, "unit": metric_unit(name, unit), "record": name == verdict.metric}
        for role in ("candidate", "champion", "baseline"):
            other = verdict.contender(role)
            row[role] = other.metrics.get(name) if other else None
        row["against_champion"] = _change(
            verdict, name, row["candidate"], row["champion"], verdict.differences.get(name)
        )
        row["against_baseline"] = _change(verdict, name, row["candidate"], row["baseline"], None)
        rows.append(row)
    return rows


def _change(
    verdict: Verdict, metric: str, mine: Measure, theirs: Measure | None, paired: Measure | None
) -> dict[str, Any] | None:
    """Glyph, words and class of a change. Where a paired interval holds 0 the change is called unclear."""
    if theirs is None:
        return None
    worse = float(worse_by(metric, verdict.task, mine.value, theirs.value))
    if worse == 0:
        return {"glyph": "=", "text": "equal", "style": "same"}
    size = percent(abs(worse)) if math.isfinite(worse) else "infinitely"
    unclear = paired is not None and (paired.low is None or paired.high is None or paired.low <= 0 <= paired.high)
    if unclear:
        word = "better" if worse < 0 else "worse"
        return {"glyph": "≈", "text": f"{size} {word}, not clear", "style": "same"}
    if worse < 0:
        return {"glyph": "▲", "text": f"{size} better", "style": "better"}
    return {"glyph": "▼", "text": f"{size} worse", "style": "worse"}


def _contender_plot(verdict: Verdict, unit: str) -> "Markup":
    from components.evaluate.charts import Whisker, interval_plot

    def row(one: Contender) -> Whisker:
        measure = one.metrics[verdict.metric]
        ends = "" if measure.low is None or measure.high is None else f"  [{short(measure.low)}, {short(measure.high)}]"
        label = f"{one.role} {'v' + one.version if one.version else ''}".strip()
        return Whisker(label, one.role, measure.value, measure.low, measure.high, short(measure.value) + ends)

    rows = [row(one) for one in verdict.contenders if verdict.metric in one.metrics]
    of = metric_unit(verdict.metric, unit)
    return interval_plot(rows, f"{verdict.metric}{', ' + of if of else ''} of every contender")


def _change_plot(verdict: Verdict) -> "Markup | str":
    """Improvement over the champion, as a share of its value: right of the line is better."""
    from components.evaluate.charts import Whisker, interval_plot

    champion, candidate = verdict.contender("champion"), verdict.contender("candidate")
    if champion is None or candidate is None:
        return ""
    rows = []
    for name, paired in sorted(verdict.differences.items(), key=lambda item: item[0] != verdict.metric):
        scale = abs(champion.metrics[name].value)
        if scale == 0:
            continue
        sign = -100 if METRICS[verdict.task][name] == "lower" else 100
        value = sign * paired.value / scale
        ends = sorted(sign * end / scale for end in (paired.low, paired.high) if end is not None)
        low, high = ends if len(ends) == 2 else (None, None)
        style = "same" if low is None or high is None or low <= 0 <= high else "better" if value > 0 else "worse"
        shown = f"{_signed(value)} %" + ("" if low is None or high is None else f"  [{_signed(low)}, {_signed(high)}]")
        rows.append(Whisker(name, style, value, low, high, shown))
    return interval_plot(rows, "change against the champion, in percent", zero=True, suffix=" %") if rows else ""


def _bounds(check: CheckResult) -> tuple[str, str]:
    """Observed and bound in the check's unit."""
    if check.unit == "relative":
        assert check.bound is not None
        word = "at most" if check.bound >= 0 else "at least"
        side = "worse" if check.bound >= 0 else "better"
        observed = NONE if check.observed is None else f"{percent(abs(check.observed))} {_side(check.observed)}"
        return observed, f"{word} {percent(abs(check.bound))} {side}"
    if check.unit == "share of columns":
        observed = NONE if check.observed is None else percent(check.observed)
        return observed, f"≤ {percent(check.bound or 0.0)}"
    sign = "≤" if check.comparison == "<=" else "≥"
    unit = f" {check.unit}" if check.unit else ""
    observed = NONE if check.observed is None else f"{short(check.observed)}{unit}"
    return observed, NONE if check.bound is None else f"{sign} {short(check.bound)}{unit}"


def _side(worse: float) -> str:
    return "worse" if worse > 0 else "better" if worse < 0 else ""


def _worse_slices(verdict: Verdict) -> list[tuple[SliceResult, float]]:
    """Slices where the candidate is worse than the champion, the worst first, with how much."""
    found = [
        (one, float(worse_by(one.metric, verdict.task, one.candidate, one.champion)))
        for one in verdict.slices
        if one.worse and one.champion is not None
    ]
    return sorted(found, key=lambda pair: -pair[1])


def _charts(
    actual: Actual, candidate: Prediction, champion: Prediction | None, times: "pl.Series | None", unit: str
) -> list[dict[str, Any]]:
    """Title, caption, legend and SVG of the charts that fit the task."""
    if actual.classes is None:
        over_time = times is not None and _time_charts(actual, candidate, champion, times, unit)
        return over_time or [_scatter(actual, candidate, unit)]
    return _probability_charts(actual, candidate, champion)


def _time_charts(
    actual: Actual, candidate: Prediction, champion: Prediction | None, times: "pl.Series", unit: str
) -> list[dict[str, Any]]:
    import numpy as np

    from components.evaluate.charts import time_chart

    values, errors = {"actual": actual.values}, {}
    for name, prediction in (("champion", champion), ("candidate", candidate)):
        if prediction is not None:
            values[name] = prediction.values
            errors[name] = np.abs(prediction.values - actual.values)
    means, error_means = means_over_time(times, values), means_over_time(times, errors)
    if means is None or error_means is None:
        return []
    step = means.step_hours
    each = (
        f"{short(step * 60)} minutes"
        if step < 1
        else f"{short(step)} hours"
        if step < 48
        else f"{short(step / 24)} days"
    )
    of = f", {unit}" if unit else ""
    first = time_chart(means, list(values), "predicted and actual over time")
    second = time_chart(error_means, list(errors), "absolute error over time", 170)
    return [
        {"title": f"Predicted and actual{of}", "note": f"Means of {each} each.", "legend": list(values), "svg": first},
        {"title": f"Absolute error{of}", "note": "Lower is better.", "legend": list(errors), "svg": second},
    ]


def _scatter(actual: Actual, candidate: Prediction, unit: str) -> dict[str, Any]:
    from components.evaluate.charts import scatter_chart

    rows = sample_positions(actual.rows, SCATTER_POINTS)
    svg = scatter_chart(actual.values[rows], candidate.values[rows], "predicted against actual", unit)
    note = f"{len(rows):,} of {actual.rows:,} test rows. On the dashed line a prediction is perfect."
    return {"title": "Predicted against actual", "note": note, "legend": ["candidate"], "svg": svg}


def _probability_charts(actual: Actual, candidate: Prediction, champion: Prediction | None) -> list[dict[str, Any]]:
    """ROC and calibration of two-class models."""
    import numpy as np

    from components.evaluate.charts import square_chart

    assert actual.classes is not None
    both = {"champion": champion, "candidate": candidate}
    shown = {name: one for name, one in both.items() if one is not None and one.probabilities is not None}
    if len(actual.classes) != 2 or "candidate" not in shown:
        return []
    curves = {name: roc_points(actual, one)[:2] for name, one in shown.items()}
    roc = [(name, np.append(0.0, x), np.append(0.0, y)) for name, (x, y) in curves.items()]
    reliability = [(name, *calibration(actual, one)[:2]) for name, one in shown.items()]
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
            "note": "On the dashed line a probability means what it says.",
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


def _signed(value: float) -> str:
    return f"{value:+.1f}" if abs(value) >= 0.95 else f"{value:+.2f}"


def _moment(value: Any) -> str:
    """A time to the minute, a date where it is midnight."""
    if value is None:
        return NONE
    return value.strftime("%Y-%m-%d" if (value.hour, value.minute) == (0, 0) else "%Y-%m-%d %H:%M")
