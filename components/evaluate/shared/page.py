"""The report page: one HTML file that a reviewer decides from; a view of the verdict, the data card and some charts."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.evaluate.shared.charts import Whisker, interval_plot
from components.evaluate.shared.compare import metric_unit, worse_by
from delivery.documents.data_card import DataCard
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, Contender, Measure, SliceResult, Verdict

NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class PageInputs:
    """What every page shows."""

    verdict: Verdict
    card: DataCard
    changes: dict[str, Measure]
    """How much worse than the champion, relatively, with paired intervals."""
    unit: str = ""
    """Of the target."""
    evidently_link: str = ""
    """A relative address, or empty for no link."""


def write_page(path: Path, template: str, shared: PageInputs, **own: Any) -> None:
    """Render and write a page. template: extends ``shared/page.html.j2``. own: what its blocks need besides."""
    page = Environment(
        loader=PackageLoader("components.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"short": short, "percent": percent, "moment": _moment, "signed": _signed}
    verdict = shared.verdict
    text = page.get_template(template).render(
        verdict=verdict,
        card=shared.card,
        headline=_headline(verdict),
        champion=verdict.contender("champion"),
        baseline=verdict.contender("baseline"),
        metrics=_metric_rows(verdict, shared.unit),
        contender_plot=_contender_plot(verdict, shared.unit),
        change_plot=_change_plot(verdict, shared.changes),
        bounds=[_bounds(check) for check in verdict.checks],
        worse_slices=_worse_slices(verdict),
        drift=sorted(verdict.drift, key=lambda result: (not result.drifted, result.column)),
        evidently_link=shared.evidently_link,
        **own,
    )
    path.write_text(text, encoding="utf-8")


def _headline(verdict: Verdict) -> str:
    """The decision in one line."""
    champion = verdict.contender("champion")
    if verdict.refusals:
        states = [check.status for check in verdict.refusals]
        parts = [
            f"{many} required check{'' if many == 1 else 's'} {words[many > 1]}"
            for status, words in (("failed", ("failed", "failed")), ("undecided", ("is undecided", "are undecided")))
            if (many := states.count(status))
        ]
        return f"{' and '.join(parts)}. The candidate does not go live."
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
    size = percent(abs(worse)) if math.isfinite(worse) else ""
    unclear = paired is not None and (paired.low is None or paired.high is None or paired.low <= 0 <= paired.high)
    if unclear:
        word = "better" if worse < 0 else "worse"
        return {"glyph": "≈", "text": f"{size} {word}, not clear".strip(), "style": "same"}
    if worse < 0:
        return {"glyph": "▲", "text": f"{size} better".strip(), "style": "better"}
    return {"glyph": "▼", "text": f"{size} worse".strip(), "style": "worse"}


def _contender_plot(verdict: Verdict, unit: str) -> Markup:
    def row(contender: Contender) -> Whisker:
        measure = contender.metrics[verdict.metric]
        ends = "" if measure.low is None or measure.high is None else f"  [{short(measure.low)}, {short(measure.high)}]"
        label = f"{contender.role} {'v' + contender.version if contender.version else ''}".strip()
        return Whisker(label, contender.role, measure.value, measure.low, measure.high, short(measure.value) + ends)

    rows = [row(contender) for contender in verdict.contenders if verdict.metric in contender.metrics]
    of = metric_unit(verdict.metric, unit)
    return interval_plot(rows, f"{verdict.metric}{', ' + of if of else ''} of every contender")


def _change_plot(verdict: Verdict, changes: dict[str, Measure]) -> Markup | str:
    """Improvement over the champion in percent: right of the line is better. Drawn up to 100 % on either side.

    `bias` is left out: one near 0 changes by any number of percent.
    """
    rows = []
    for name, change in sorted(changes.items(), key=lambda item: item[0] != verdict.metric):
        if name == "bias" or change.low is None or change.high is None or not math.isfinite(change.low + change.high):
            continue
        value, low, high = (-100 * share for share in (change.value, change.high, change.low))
        style = "same" if low <= 0 <= high else "better" if value > 0 else "worse"
        text = f"{_signed(value)} %  [{_signed(low)}, {_signed(high)}]"
        drawn = [min(100.0, max(-100.0, end)) for end in (value, low, high)]
        rows.append(Whisker(name, style, drawn[0], drawn[1], drawn[2], text))
    return interval_plot(rows, "change against the champion, in percent", zero=True, suffix=" %") if rows else ""


def _bounds(check: CheckResult) -> tuple[str, str]:
    """Observed and bound in the check's unit."""
    if check.unit == "relative":
        assert check.bound is not None
        word = "at most" if check.bound >= 0 else "at least"
        side = "worse" if check.bound >= 0 else "better"
        observed = NONE if check.observed is None else f"{percent(abs(check.observed))} {_side(check.observed)}"
        return observed, f"{word} {percent(abs(check.bound))} {side}"
    sign = "≤" if check.comparison == "<=" else "≥"
    if check.unit.startswith("share of"):
        observed = NONE if check.observed is None else percent(check.observed)
        return observed, f"{sign} {percent(check.bound or 0.0)}"
    unit = f" {check.unit}" if check.unit else ""
    observed = NONE if check.observed is None else f"{short(check.observed)}{unit}"
    return observed, NONE if check.bound is None else f"{sign} {short(check.bound)}{unit}"


def _side(worse: float) -> str:
    return "worse" if worse > 0 else "better" if worse < 0 else ""


def _worse_slices(verdict: Verdict) -> list[tuple[SliceResult, float]]:
    """Slices where the candidate is worse than the champion, the worst first, with how much."""
    worse = [
        (result, float(worse_by(result.metric, verdict.task, result.candidate, result.champion)))
        for result in verdict.slices
        if result.worse and result.champion is not None
    ]
    return sorted(worse, key=lambda pair: -pair[1])


def _signed(value: float) -> str:
    return f"{value:+.1f}" if abs(value) >= 0.95 else f"{value:+.2f}"


def _moment(value: Any) -> str:
    """A time to the minute, a date where it is midnight."""
    if value is None:
        return NONE
    return value.strftime("%Y-%m-%d" if (value.hour, value.minute) == (0, 0) else "%Y-%m-%d %H:%M")
