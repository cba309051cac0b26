"""The verdict's rows: metrics with intervals, paired differences, and warnings."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from components.evaluate.shared.bootstrap import Scores, interval
from components.evaluate.shared.compare import difference, worse_by
from components.evaluate.shared.contender import Entrant
from components.evaluate.shared.scored import Evidence
from delivery.documents.verdict import Contender, Measure

if TYPE_CHECKING:
    import numpy as np


def contender_rows(
    model: str, models: Sequence[Entrant], baseline_name: str, evidence: Evidence
) -> tuple[Contender, ...]:
    """One row each, in the order candidate, champion, baseline."""
    scores = {"candidate": evidence.candidate, "champion": evidence.champion}
    rows = []
    for one in models:
        scored = scores[one.role]
        assert scored is not None
        found = measures(scored, evidence.confidence)
        rows.append(Contender(role=one.role, name=model, version=one.version, digest=one.digest, metrics=found))
    if evidence.baseline is not None:
        found = measures(evidence.baseline, evidence.confidence)
        rows.append(Contender(role="baseline", name=baseline_name, metrics=found))
    return tuple(rows)


def measures(scores: Scores, confidence: float) -> dict[str, Measure]:
    """Exact values with their percentile intervals."""
    return {name: _measure(value, scores.resamples[name], confidence) for name, value in scores.values.items()}


def paired_differences(evidence: Evidence) -> dict[str, Measure]:
    """Candidate minus champion for every metric that both have (of the absolute values for `bias`)."""
    return _paired(evidence, difference)


def paired_changes(evidence: Evidence) -> dict[str, Measure]:
    """How much worse than the champion, relatively, for every metric that both have; negative is better."""
    return _paired(evidence, lambda name, mine, theirs: worse_by(name, evidence.task, mine, theirs))


def _paired(evidence: Evidence, compare: "Callable[[str, Any, Any], np.ndarray]") -> dict[str, Measure]:
    mine, theirs = evidence.candidate, evidence.champion
    if theirs is None:
        return {}
    return {
        name: _measure(
            float(compare(name, value, theirs.values[name])),
            compare(name, mine.resamples[name], theirs.resamples[name]),
            evidence.confidence,
        )
        for name, value in mine.values.items()
        if name in theirs.values
    }


def _measure(value: float, resamples: "np.ndarray", confidence: float) -> Measure:
    ends = interval(resamples, confidence)
    return Measure(value=value) if ends is None else Measure(value=value, low=ends[0], high=ends[1])
