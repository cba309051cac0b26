"""How many input columns moved between the training rows and the test rows."""

from components.evaluate.checks.demand import Demand
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import percent
from delivery.documents.verdict import CheckResult
from training.spec import DriftCheck


def evaluate_drift(check: DriftCheck, measured: Measured) -> CheckResult:
    """The share of the columns that drift can be measured on."""
    drift = measured.scored.drift
    demand = Demand(check, "drift of the inputs", check.max_share, "<=", "share of columns")
    if not drift:
        return demand.not_applicable("No input column has a type and values that drift can be measured on.")
    moved = [column.column for column in drift if column.drifted]
    share = len(moved) / len(drift)
    names = f" ({', '.join(moved[:5])}{', …' if len(moved) > 5 else ''})" if moved else ""
    return demand.result(
        share,
        f"{len(moved)} of {len(drift)} input columns moved between the training and the test rows{names}: "
        f"{percent(share)}; at most {percent(check.max_share)} is allowed.",
    )
