"""Verdicts, and the documents that stand in them or beside them. A test names what it is about; the rest is as of
`bike-demand`, whose candidate passed its one check."""

import hashlib
from typing import Any, Literal

from delivery.documents.data_card import CardPart, ColumnCard, DataCard
from delivery.documents.verdict import CheckResult, Contender, JudgeReport, Measure, ServingProof, Verdict

MAE = 66.9


def digest(letter: str) -> str:
    return "sha256:" + hashlib.sha256(letter.encode()).hexdigest()


def verdict(**fields: Any) -> Verdict:
    """The decision follows the checks."""
    checks = fields.get("checks", (check(),))
    made: dict[str, Any] = {
        "model": "bike-demand",
        "task": "regression",
        "decision": "reject" if any(one.refuses for one in checks) else "pass",
        "metric": "mae",
        "direction": "lower",
        "confidence": 0.95,
        "rows": 100,
        "sample_rows": 100,
        "contenders": (contender(mae=MAE),),
        "differences": {},
        "checks": checks,
        "data_fingerprint": digest("rows"),
        "spec_digest": digest("spec"),
        "code": digest("code"),
    }
    return Verdict.model_validate(made | fields)


def check(
    name: str = "mae",
    status: Literal["passed", "failed", "undecided", "not applicable"] = "passed",
    reason: str = "mae is 66.9, at most 70 is allowed",
    **fields: Any,
) -> CheckResult:
    made = {"kind": "absolute", "metric": "mae", "observed": MAE, "bound": 70.0, "comparison": "<=", "required": True}
    return CheckResult.model_validate({**made, "name": name, "status": status, "reason": reason, **fields})


def contender(
    role: Literal["candidate", "champion", "baseline"] = "candidate",
    name: str = "candidate",
    version: str = "",
    digest: str = "",
    **metrics: float | tuple[float, float, float],
) -> Contender:
    """metrics: the value, or the value and both ends of its interval."""
    measures = {key: measure(*value) if isinstance(value, tuple) else measure(value) for key, value in metrics.items()}
    return Contender(role=role, name=name, version=version, digest=digest, metrics=measures)


def measure(value: float, low: float | None = None, high: float | None = None) -> Measure:
    return Measure(value=value, low=low, high=high)


def proof(**fields: Any) -> ServingProof:
    """Of a runtime `r` that answered everything as it was judged."""
    made = {"runtime": "r", "ran": "r 1.0", "protocol": "v2", "rows": 500, "worst_difference": 0.0}
    return ServingProof.model_validate({**made, "tolerance": 1e-9, "size_bytes": 2**20, **fields})


def judge_report(**fields: Any) -> JudgeReport:
    """On ten questions: five wins, three losses, two ties."""
    made = {"url": "http://j/v1", "model": "j-1", "against": "champion", "questions": 10, "wins": 5, "losses": 3}
    made |= {"ties": 2, "swayed": 1, "unanswered": 0, "calls": 20, "cached": 0}
    return JudgeReport.model_validate({**made, **fields})


def data_card(**fields: Any) -> DataCard:
    made: dict[str, Any] = {
        "model": "bike-demand",
        "source": "https://example.org/bikes.csv",
        "snapshot": digest("file"),
        "fingerprint": digest("rows"),
        "split": "by time, the last 4w",
        "columns": (
            ColumnCard(name="count", dtype="Int64", role="target", nulls=0),
            ColumnCard(name="temp", dtype="Float64", role="input", unit="degC", nulls=0),
        ),
        "train": CardPart(rows=900, sha256="3" * 64),
        "test": CardPart(rows=100, sha256="4" * 64),
        "refused": 3,
        "refused_by_reason": {"temp: not a number": 3},
    }
    return DataCard.model_validate(made | fields)
