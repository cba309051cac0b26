"""The verdict as Markdown: what a reviewer reads in a pull request, and anybody in the UI of an engine.

Names and reasons come from data and models, so they are written as text that says only itself.
"""

from collections.abc import Sequence

from delivery.documents.markdown import table, text
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, Contender, Measure, SliceResult, Verdict
from training.spec.tasks import METRICS

ROWS = 60
"""That a table shows at most."""
MARKS = {
    "passed": "✓ passed",
    "failed": "**✗ failed**",
    "undecided": "**? undecided**",
    "not applicable": "– not applicable",
}


def verdict_text(verdict: Verdict) -> str:
    """The whole of it; ends with a line break."""
    first = [f"## {text(verdict.model)}", "", summary(verdict)]
    sections = [first, metrics_table(verdict), checks_table(verdict), slices_table(verdict), judges_list(verdict)]
    sections.append(warnings_list(verdict.warnings))
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def summary(verdict: Verdict) -> str:
    """The decision and what it rests on, in one line."""
    mark = "**✓ Pass**" if verdict.decision == "pass" else "**✗ Reject**"
    return f"{mark}: {_headline(verdict)}. {counted(verdict)}."


def warnings_list(warnings: Sequence[str]) -> list[str]:
    return ["### Warnings", "", *(f"- {text(warning)}" for warning in warnings[:ROWS])] if warnings else []


def counted(verdict: Verdict) -> str:
    """How many checks passed, and what became of the others."""
    passed = sum(check.status == "passed" for check in verdict.checks)
    others = []
    for status in ("failed", "undecided", "not applicable"):
        checks = [check for check in verdict.checks if check.status == status]
        demanded = sum(check.required for check in checks)
        more = "" if status == "not applicable" else f", {demanded or 'none'} of them required"
        others += [f"{len(checks)} {status}{more}"] if checks else []
    return f"{passed} of {len(verdict.checks)} checks passed" + (f" ({'; '.join(others)})" if others else "")


def _headline(verdict: Verdict) -> str:
    """The metric of record of the candidate against the champion's, else the baseline's, in words."""
    candidate, champion = verdict.contender("candidate"), verdict.contender("champion")
    subject = f"{text(verdict.metric)} {_measure(candidate.metrics.get(verdict.metric) if candidate else None)}"
    comparison = champion or verdict.contender("baseline")
    other = comparison.metrics.get(verdict.metric) if comparison else None
    where = f"on {verdict.rows:,} test rows"
    if comparison is None or other is None:
        return f"{subject} {where}"
    if comparison.role == "baseline":
        return f"{subject} against the baseline's {short(other.value)}, {where}; there is no champion"
    difference = verdict.differences.get(verdict.metric)
    clear = f": **{_compared(difference, verdict.direction)}**" if difference else ""
    return f"{subject} against the champion's {short(other.value)} (version {text(comparison.version)}), {where}{clear}"


def metrics_table(verdict: Verdict) -> list[str]:
    """Every metric of every contender; the difference is of pairs on the same rows."""
    names = list(
        dict.fromkeys([verdict.metric, *(name for contender in verdict.contenders for name in contender.metrics)])
    )
    against = verdict.contender("champion") is not None
    head = [
        "metric",
        *(_called(contender) for contender in verdict.contenders),
        *(["candidate − champion"] if against else []),
    ]
    rows = [[_metric_name(verdict, name), *_cells(verdict, name, against)] for name in names]
    note = (
        f"On the same {verdict.rows:,} test rows, with {percent(verdict.confidence)} intervals; ↓ less is better, "
        f"↑ more. Decided by **{text(verdict.metric)}**."
    )
    if against:
        note += " Better and worse are beyond chance; ≈ is not to be told apart."
    return ["### Metrics", "", *table(head, rows, ROWS, right=len(head) - 1), "", note]


def _metric_name(verdict: Verdict, name: str) -> str:
    arrow = {"lower": " ↓", "higher": " ↑"}.get(_direction(verdict, name), "")
    shown = text(name)
    return (f"**{shown}**" if name == verdict.metric else shown) + arrow


def _direction(verdict: Verdict, name: str) -> str:
    return verdict.direction if name == verdict.metric else METRICS[verdict.task].get(name, "")


def _cells(verdict: Verdict, name: str, against: bool) -> list[str]:
    cells = [_measure(contender.metrics.get(name)) for contender in verdict.contenders]
    if against:
        difference = verdict.differences.get(name)
        cells.append(_difference(difference, _direction(verdict, name)) if difference else "–")
    return cells


def _difference(difference: Measure, direction: str) -> str:
    word = _compared(difference, direction)
    shown = _measure(difference, signed=True)
    if word not in ("better", "worse"):
        return f"≈ {shown}"
    return f"{'▼' if difference.value < 0 else '▲'} {shown} **{word}**"


def _compared(difference: Measure, direction: str) -> str:
    """What a difference says: better, worse, or nothing beyond chance."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high or not direction:
        return "not to be told apart"
    return "better" if (difference.value < 0) == (direction == "lower") else "worse"


def _called(contender: Contender) -> str:
    if contender.role == "champion":
        return f"champion (version {text(contender.version)})"
    return f"baseline: {text(contender.name)}" if contender.role == "baseline" else "candidate"


def _measure(measure: Measure | None, signed: bool = False) -> str:
    if measure is None:
        return "–"

    def shown(value: float) -> str:
        plus = "+" if signed and value > 0 else ""
        return plus + short(value).replace("-", "−")

    if measure.low is None or measure.high is None:
        return shown(measure.value)
    return f"{shown(measure.value)} ({shown(measure.low)} to {shown(measure.high)})"


def checks_table(verdict: Verdict) -> list[str]:
    """Every check: what failed, then what passed, then what did not apply."""
    ranks = ["failed", "undecided", "passed", "not applicable"]
    order = sorted(verdict.checks, key=lambda check: ranks.index(check.status))
    rows = [[MARKS[check.status], text(check.name, 100), _why(check)] for check in order]
    return ["### Checks", "", *table(["result", "check", "why"], rows, ROWS)]


def _why(check: CheckResult) -> str:
    return text(check.reason) + ("" if check.required else " *Not required.*")


def slices_table(verdict: Verdict) -> list[str]:
    """The slices where the candidate is worse than the champion, the worst first."""
    worse = sorted(
        (result for result in verdict.slices if result.worse),
        key=lambda result: (-_by(result), result.column, result.value),
    )
    if not verdict.slices:
        return []
    if verdict.contender("champion") is None:
        return ["### Slices", "", f"{len(verdict.slices)} were looked at; there is no champion to be worse than."]
    if not worse:
        return ["### Slices", "", f"Worse in none of the {len(verdict.slices)} slices that were looked at."]
    head = ["slice", "metric", "rows", "candidate", "champion", "changed by"]
    note = f"Worse than the champion in {len(worse)} of {len(verdict.slices)} slices:"
    return ["### Slices", "", note, "", *table(head, [_slice(result) for result in worse], ROWS, right=4)]


def _slice(result: SliceResult) -> list[str]:
    champion = short(result.champion) if result.champion is not None else "–"
    sign = "−" if result.champion is not None and result.candidate < result.champion else "+"
    changed = f"{sign}{percent(_by(result))}" if result.champion else "–"
    where = f"{text(result.column, 80)} = {text(result.value, 80)}"
    return [where, text(result.metric), f"{result.rows:,}", short(result.candidate), champion, changed]


def _by(result: SliceResult) -> float:
    """How far the candidate is from the champion, as a share."""
    return abs(result.candidate - result.champion) / abs(result.champion) if result.champion else 0.0


def judges_list(verdict: Verdict) -> list[str]:
    """What a language model said of the answers, and how far it is to be believed."""
    lines = []
    for report in verdict.judges:
        rate = f", win rate {percent(report.win_rate)}" if report.win_rate is not None else ""
        agreed = (
            f"; agrees with {percent(report.agreement)} of {report.labelled} labelled pairs" if report.agreement else ""
        )
        doubt = f" **Not believed:** {text(report.failure)}" if report.failure else ""
        counts = (
            f"better in {report.wins}, worse in {report.losses}, equal in {report.ties} of {report.questions} questions"
        )
        lines.append(f"- {text(report.model)} against the {report.against}: {counts}{rate}{agreed}.{doubt}")
    return ["### Judge", "", *lines] if lines else []
