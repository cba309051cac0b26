"""What one window of live inputs says, held against the training data of the live version, and whether to ask for a
training: k of the last n windows and the newest one, cool-down, a budget a month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from components.drift.bad_data import problem_of
from components.drift.inputs import Live
from components.drift.scores import Baseline, Score
from components.drift.windows import Window
from training.spec import DriftWatchSpec
from training.spec.section import parse_duration

Finding = Literal["drift", "no drift", "bad data", "too few rows"]
Decision = Literal["ask", "wait", "bad data"]


@dataclass(frozen=True)
class Seen:
    """What was found in one window."""

    end: datetime
    finding: Finding
    reason: str
    rows: int
    bad: float
    """Share of the rows that break the data contract."""
    share: float
    """Of the columns that drifted."""


@dataclass(frozen=True)
class Decided:
    decision: Decision
    reason: str


@dataclass(frozen=True)
class WindowReport:
    seen: Seen
    scores: tuple[Score, ...]
    empty_events: int = 0
    """Of a request log, without rows: passed over, and no bad rows."""


def report_window(
    baseline: Baseline, live: Live, window: Window, spec: DriftWatchSpec, units: Mapping[str, str]
) -> WindowReport:
    """Scores and finding of a window. units: of the columns, as the contract has them."""
    rows, bad = live.of(window), live.bad_share(window)
    lacking = [name for name in baseline.methods if name not in rows.columns]
    scores: tuple[Score, ...] = ()
    problem = live.problem or (f"{', '.join(lacking)} is missing" if lacking and len(rows) else "")
    if not problem and len(rows) >= spec.min_rows:
        values = baseline.values_of(rows)
        scores = baseline.scores(window, values)
        problem = problem_of(baseline, window, values, {score.column: score for score in scores}, units)
    share = sum(score.drifted for score in scores) / len(scores) if scores else None
    drifted = ", ".join(score.column for score in scores if score.drifted)
    finding, reason = _finding(share, len(rows), bad, problem, drifted, spec)
    seen = Seen(window.end, finding, reason, len(rows), bad, share or 0.0)
    return WindowReport(seen, scores, live.empty_events(window))


def _finding(
    share: float | None, rows: int, bad: float, problem: str, drifted: str, spec: DriftWatchSpec
) -> tuple[Finding, str]:
    """What one window is. Bad data goes first: drift of broken values means nothing.

    share: of the columns that drifted; None where none could be compared. problem: what is wrong with the data, "" for
    nothing. drifted: the columns, in words.
    """
    if problem:
        return "bad data", problem
    if bad > spec.max_bad:
        return "bad data", f"{bad:.1%} of the rows break data.columns, max_bad allows {spec.max_bad:.1%}"
    if rows < spec.min_rows:
        return "too few rows", f"{rows} rows, min_rows is {spec.min_rows}"
    if share is None:
        return "bad data", "no column that is watched has a value"
    if share >= spec.share:
        return "drift", f"{share:.0%} of the columns drifted: {drifted}"
    return "no drift", f"{share:.0%} of the columns drifted" + (f": {drifted}" if drifted else "")


def decide(windows: Sequence[Seen], asked: Sequence[datetime], spec: DriftWatchSpec) -> Decided:
    """windows: of the live version, oldest first. asked: ends of the windows at which a training was asked for."""
    recent = windows[-spec.windows :]
    if not recent:
        return Decided("wait", "no window has ended since the data of the live version")
    newest = recent[-1]
    if newest.finding == "bad data":
        return Decided("bad data", newest.reason)
    if newest.finding != "drift":
        return Decided("wait", f"the newest window is not drifted: {newest.reason}")
    count = sum(window.finding == "drift" for window in recent)
    tally = f"{count} of the last {spec.windows} windows drifted"
    if count < spec.drifted:
        return Decided("wait", f"{tally}, {spec.drifted} are needed")
    earlier = [end for end in asked if end < newest.end]
    if earlier and newest.end - max(earlier) < parse_duration(spec.cool_down):
        return Decided(
            "wait", f"{tally}, but a training was asked for at {max(earlier)}: cool_down is {spec.cool_down}"
        )
    month = [end for end in earlier if (end.year, end.month) == (newest.end.year, newest.end.month)]
    if len(month) >= spec.budget:
        return Decided("wait", f"{tally}, but the month's budget of {spec.budget} is used up")
    return Decided("ask", f"{tally}; {newest.reason}")
