"""Whether to ask for a training: k of the last n windows and the newest one, cool-down, a budget a month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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


def find(
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
