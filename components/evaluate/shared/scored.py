"""What was measured of candidate, champion and baseline: all that a check can look at, and the verdict's rows of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.evaluate.shared.arguments import EvaluateOutputs
from components.evaluate.shared.bootstrap import Scores, interval
from components.evaluate.shared.compare import difference, worse_by
from components.evaluate.shared.contender import Entrant
from components.evaluate.shared.page import PageInputs
from delivery.documents.sample import Sample
from delivery.documents.verdict import Contender, DriftResult, JudgeReport, Measure, ServingProof, SliceResult
from training.spec import Task


@dataclass(frozen=True)
class ScoredContenders:
    """Offline, on the test rows. champion and baseline are None where there is none."""

    task: Task
    confidence: float
    candidate: Scores
    champion: Scores | None
    baseline: Scores | None
    unit: str = ""
    """Unit of the target."""
    slices: dict[tuple[str, str], tuple[SliceResult, ...]] = field(default_factory=dict)
    """By column and metric."""
    drift: tuple[DriftResult, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    """Of a language model: id of the question, and what the candidate answered."""
    judges: dict[str, JudgeReport] = field(default_factory=dict)
    """By whom the candidate was compared with: champion, baseline."""


@dataclass(frozen=True)
class Measured:
    """Offline and served."""

    scored: ScoredContenders
    served: ServingProof


@dataclass(frozen=True)
class Assessed:
    """What the models of one kind were worth offline, and what is served and shown of that."""

    models: Sequence[Entrant]
    """The candidate, and the champion where there is one."""
    baseline_name: str
    scored: ScoredContenders
    sample: Sample
    """Of the test rows, for the proof."""
    rows: int
    """Of the test side."""
    facts: Mapping[str, Any]
    """Fields of the verdict that this kind alone has, and ``warnings``."""
    write_pages: Callable[[EvaluateOutputs, PageInputs], None]
    predictions: Any = None
    """Of a table's model: what KFP's curves are drawn from."""


def contender_rows(model: str, assessed: Assessed) -> tuple[Contender, ...]:
    """One row each, in the order candidate, champion, baseline."""
    scored, rows = assessed.scored, []
    for entrant in assessed.models:
        own = scored.candidate if entrant.role == "candidate" else scored.champion
        assert own is not None
        metrics = measures(own, scored.confidence)
        row = Contender(role=entrant.role, name=model, version=entrant.version, digest=entrant.digest, metrics=metrics)
        rows.append(row)
    if scored.baseline is not None:
        metrics = measures(scored.baseline, scored.confidence)
        rows.append(Contender(role="baseline", name=assessed.baseline_name, metrics=metrics))
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
