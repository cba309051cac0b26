"""What checks look at, made by hand."""

from typing import Any

from components.evaluate.shared.bootstrap import Scores
from components.evaluate.shared.scored import Measured, ScoredContenders
from delivery.documents.verdict import ServingProof


def proof(**changed: Any) -> ServingProof:
    """Of a runtime `r` that answered everything as it was judged."""
    given = {"runtime": "r", "ran": "r 1.0", "protocol": "v2", "rows": 500, "worst_difference": 0.0}
    given |= {"tolerance": 1e-9, "size_bytes": 2**20}
    return ServingProof(**{**given, **changed})


def measured(served: ServingProof | None = None, **scored: Any) -> Measured:
    """A candidate without a figure of its own, unless scored gives it some."""
    given = {"task": "regression", "confidence": 0.95, "candidate": Scores({}, {}), "champion": None, "baseline": None}
    return Measured(ScoredContenders(**{**given, **scored}), served or proof())
