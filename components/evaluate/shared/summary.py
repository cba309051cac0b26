"""The verdict's rows: metrics with intervals, paired differences, and warnings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from components.evaluate.shared.bootstrap import Scores, interval
from components.evaluate.shared.compare import difference, worse_by
from components.evaluate.shared.contender import Entrant
from components.evaluate.shared.scored import ScoredContenders
from delivery.documents.verdict import Contender, Measure


def contender_rows(
    model: str, models: Sequence[Entrant], baseline_name: str, scored: ScoredContenders
) -> tuple[Contender, ...]:
    """One row each, in the order candidate, champion, baseline."""
    scores = {"candidate": scored.candidate, "champion": scored.champion}
    rows = []
    for entrant in models:
        own = scores[entrant.role]
        assert own is not None
        metrics = measures(own, scored.confidence)
        row = Contender(role=entrant.role, name=model, version=entrant.version, digest=entrant.digest, metrics=metrics)
        rows.append(row)
    if scored.baseline is not None:
        metrics = measures(scored.baseline, scored.confidence)
        rows.append(Contender(role="baseline", name=baseline_name, metrics=metrics))
    return tuple(rows)


def measures(scores: Scores, confidence: float) -> dict[str, Measure]:
    """Exact values with their percentile intervals."""
    return {name: _measure(value, scores.resamples[name], confidence) for name, value in scores.values.items()}


def paired_differences(scored: ScoredContenders) -> dict[str, Measure]:
    """Candidate minus champion for every metric that both have (of the absolute values for `bias`)."""
    return _paired(scored, difference)


def paired_changes(scored: ScoredContenders) -> dict[str, Measure]:
    """How much worse than the champion, relatively, for every metric that both have; negative is better."""
    return _paired(scored, lambda name, mine, theirs: worse_by(name, scored.task, mine, theirs))


def _paired(scored: ScoredContenders, compare: Callable[[str, Any, Any], np.ndarray]) -> dict[str, Measure]:
    mine, theirs = scored.candidate, scored.champion
    if theirs is None:
        return {}
    return {
        name: _measure(
            float(compare(name, value, theirs.values[name])),
            compare(name, mine.resamples[name], theirs.resamples[name]),
            scored.confidence,
        )
        for name, value in mine.values.items()
        if name in theirs.values
    }


def _measure(value: float, resamples: np.ndarray, confidence: float) -> Measure:
    ends = interval(resamples, confidence)
    return Measure(value=value) if ends is None else Measure(value=value, low=ends[0], high=ends[1])
