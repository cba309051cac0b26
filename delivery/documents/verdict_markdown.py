"""The verdict as Markdown: what a reviewer reads in a pull request, and anybody in the UI of an engine.

Names and reasons come from data and models, so they are written as text that says only itself.
"""

from delivery.documents.markdown import table, text
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, Contender, Measure, SliceResult, Verdict
from training.spec.metrics import METRICS

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
    mark = "**✓ Pass**" if verdict.decision == "pass" else "**✗ Reject**"
    first = [f"## {text(verdict.model)}", "", f"{mark}: {headline(verdict)}. {counted(verdict)}."]
    sections = [first, metrics_table(verdict), checks_table(verdict), slices_table(verdict), judges_list(verdict)]
    if verdict.warnings:
        sections.append(["### Warnings", "", *(f"- {text(one)}" for one in verdict.warnings[:ROWS])])
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def counted(verdict: Verdict) -> str:
    """How many checks passed, and what became of the others."""
    passed = sum(check.status == "passed" for check in verdict.checks)
    others = []
    for status in ("failed", "undecided", "not applicable"):
        found = [check for check in verdict.checks if check.status == status]
        demanded = sum(check.required for check in found)
        more = "" if status == "not applicable" else f", {demanded or 'none'} of them required"
        others += [f"{len(found)} {status}{more}"] if found else []
    return f"{passed} of {len(verdict.checks)} checks passed" + (f" ({'; '.join(others)})" if others else "")


def headline(verdict: Verdict) -> str:
    """The metric of record of the candidate against the champion's, else the baseline's, in words."""
    candidate, champion = verdict.contender("candidate"), verdict.contender("champion")
    told = f"{text(verdict.metric)} {_measure(candidate.metrics.get(verdict.metric) if candidate else None)}"
    rival = champion or verdict.contender("baseline")
    other = rival.metrics.get(verdict.metric) if rival else None
    where = f"on {verdict.rows:,} test rows"
    if rival is None or other is None:
        return f"{told} {where}"
    if rival.role == "baseline":
        return f"{told} against the baseline's {short(other.value)}, {where}; there is no champion"
    found = verdict.differences.get(verdict.metric)
    clear = f": **{_compared(found, verdict.direction)}**" if found else ""
    return f"{told} against the champion's {short(other.value)} (version {text(rival.version)}), {where}{clear}"


def metrics_table(verdict: Verdict) -> list[str]:
    """Every metric of every contender; the difference is of pairs on the same rows."""
    names = list(dict.fromkeys([verdict.metric, *(name for one in verdict.contenders for name in one.metrics)]))
    against = verdict.contender("champion") is not None
    head = ["metric", *(_called(one) for one in verdict.contenders), *(["candidate − champion"] if against else [])]
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
    cells = [_measure(one.metrics.get(name)) for one in verdict.contenders]
    if against:
        found = verdict.differences.get(name)
        cells.append(_difference(found, _direction(verdict, name)) if found else "–")
    return cells


def _difference(found: Measure, direction: str) -> str:
    word = _compared(found, direction)
    shown = _measure(found, signed=True)
    if word not in ("better", "worse"):
        return f"≈ {shown}"
    return f"{'▼' if found.value < 0 else '▲'} {shown} **{word}**"


def _compared(found: Measure, direction: str) -> str:
    """What a difference says: better, worse, or nothing beyond chance."""
    if found.low is None or found.high is None or found.low <= 0 <= found.high or not direction:
        return "not to be told apart"
    return "better" if (found.value < 0) == (direction == "lower") else "worse"


def _called(one: Contender) -> str:
    if one.role == "champion":
        return f"champion (version {text(one.version)})"
    return f"baseline: {text(one.name)}" if one.role == "baseline" else "candidate"


def _measure(found: Measure | None, signed: bool = False) -> str:
    if found is None:
        return "–"

    def shown(value: float) -> str:
        plus = "+" if signed and value > 0 else ""
        return plus + short(value).replace("-", "−")

    if found.low is None or found.high is None:
        return shown(found.value)
    return f"{shown(found.value)} ({shown(found.low)} to {shown(found.high)})"


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
    worse = sorted((one for one in verdict.slices if one.worse), key=lambda one: (-_by(one), one.column, one.value))
    if not verdict.slices:
        return []
    if verdict.contender("champion") is None:
        return ["### Slices", "", f"{len(verdict.slices)} were looked at; there is no champion to be worse than."]
    if not worse:
        return ["### Slices", "", f"Worse in none of the {len(verdict.slices)} slices that were looked at."]
    head = ["slice", "metric", "rows", "candidate", "champion", "changed by"]
    note = f"Worse than the champion in {len(worse)} of {len(verdict.slices)} slices:"
    return ["### Slices", "", note, "", *table(head, [_slice(one) for one in worse], ROWS, right=4)]


def _slice(one: SliceResult) -> list[str]:
    champion = short(one.champion) if one.champion is not None else "–"
    sign = "−" if one.champion is not None and one.candidate < one.champion else "+"
    changed = f"{sign}{percent(_by(one))}" if one.champion else "–"
    where = f"{text(one.column, 80)} = {text(one.value, 80)}"
    return [where, text(one.metric), f"{one.rows:,}", short(one.candidate), champion, changed]


def _by(one: SliceResult) -> float:
    """How far the candidate is from the champion, as a share."""
    return abs(one.candidate - one.champion) / abs(one.champion) if one.champion else 0.0


def judges_list(verdict: Verdict) -> list[str]:
    """What a language model said of the answers, and how far it is to be believed."""
    lines = []
    for one in verdict.judges:
        rate = f", win rate {percent(one.win_rate)}" if one.win_rate is not None else ""
        agreed = f"; agrees with {percent(one.agreement)} of {one.labelled} labelled pairs" if one.agreement else ""
        doubt = f" **Not believed:** {text(one.failure)}" if one.failure else ""
        counts = f"better in {one.wins}, worse in {one.losses}, equal in {one.ties} of {one.questions} questions"
        lines.append(f"- {text(one.model)} against the {one.against}: {counts}{rate}{agreed}.{doubt}")
    return ["### Judge", "", *lines] if lines else []
