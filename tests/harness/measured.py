"""What checks look at, made by hand."""

from typing import Any

from harness.verdicts import proof

from components.evaluate.shared.bootstrap import Scores
from components.evaluate.shared.scored import Measured, ScoredContenders
from delivery.documents.verdict import ServingProof


def measured(served: ServingProof | None = None, **scored: Any) -> Measured:
    """A candidate without a figure of its own, unless scored gives it some."""
    given = {"task": "regression", "confidence": 0.95, "candidate": Scores({}, {}), "champion": None, "baseline": None}
    return Measured(ScoredContenders(**{**given, **scored}), served or proof())
