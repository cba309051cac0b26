from dataclasses import dataclass, field

from components.evaluate.shared.bootstrap import Scores
from delivery.documents.verdict import DriftResult, JudgeReport, SliceResult
from training.spec.model import Task


@dataclass(frozen=True)
class Evidence:
    """What the checks look at. champion and baseline are None where there is none."""

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
    """Of a language model: id of the question, and what the candidate said."""
    judges: dict[str, JudgeReport] = field(default_factory=dict)
    """By whom the candidate was compared with: champion, baseline."""
