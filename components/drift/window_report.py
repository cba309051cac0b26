"""What one window of live inputs says, held against the training data of the live version."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.drift.bad_data import problem_of
from components.drift.decide import Seen, find
from components.drift.inputs import Live
from components.drift.scores import Baseline, Score
from components.drift.windows import Window
from training.spec import DriftWatchSpec


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
    finding, reason = find(share, len(rows), bad, problem, drifted, spec)
    seen = Seen(window.end, finding, reason, len(rows), bad, share or 0.0)
    return WindowReport(seen, scores, live.empty_events(window))
