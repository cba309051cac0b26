"""The verdict's rows: metrics with intervals, paired differences, and warnings."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.evaluate.bootstrap import Scores, interval
from components.evaluate.checks import Evidence
from components.evaluate.compare import difference, worse_by
from components.evaluate.contenders import Entrant, Model
from components.evaluate.evidently_report import Drift
from components.evidence import Contender, DataCard, Measure
from training.spec import DataSpec

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


def warnings(contract: DataSpec, card: DataCard, models: Sequence[Model], drift: Drift) -> tuple[str, ...]:
    """What a reviewer should know that no check says."""
    found: list[str] = []
    if drift.not_measured:
        found.append(
            f"drift is not measured for {', '.join(drift.not_measured)}: no values, or neither number nor text"
        )
    start = card.test.time_from
    for one in models if contract.split.by == "time" else ():
        seen = one.predictor.facts.get("train_time_to")
        if not seen or start is None or _utc(datetime.fromisoformat(seen)) < _utc(start):
            continue
        trained = f"{one.called} was trained on rows up to {seen}, the test rows start at {start.isoformat()}"
        if one.role == "candidate":
            found.append(f"{trained}: its figures are too good")
        else:
            found.append(f"{trained}: the comparison favours it, so passing against it is harder than it should be")
    return tuple(found)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
