"""What was measured of candidate, champion and baseline: all that a check can look at."""

from dataclasses import dataclass, field

from components.evaluate.shared.bootstrap import Scores
from delivery.documents.verdict import DriftResult, JudgeReport, ServingProof, SliceResult
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
