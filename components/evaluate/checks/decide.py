"""The checks of a quality spec, each turned into one line of the verdict, and the decision.

A check that can't be evaluated is never passed: without a champion it is "not applicable", and everything else that
is missing (a metric that is not defined, probabilities that a model does not give) is an error.
"""

from collections.abc import Sequence
from typing import Literal

from components.evaluate.checks.kinds import EVALUATIONS
from components.evaluate.shared.arguments import EvaluateInputs
from components.evaluate.shared.scored import Assessed, Measured, contender_rows, paired_differences
from delivery.documents.verdict import CheckResult, ServingProof, Verdict
from training.spec import METRICS, Check, QualitySpec


def decide(checks: Sequence[CheckResult]) -> Literal["pass", "reject"]:
    """Reject if a required check failed, or if nobody could decide it."""
    return "reject" if any(check.refuses for check in checks) else "pass"


def evaluate_check(check: Check, measured: Measured) -> CheckResult:
    """One check of a spec. Raises InputError for a metric that is not defined on these rows."""
    return EVALUATIONS[type(check)](check, measured)


def evaluate_checks(quality: QualitySpec, measured: Measured) -> tuple[CheckResult, ...]:
    """Every check of the spec in its order, and the one that every verdict has; of checks of one name the second is
    numbered. Raises what :func:`evaluate_check` raises."""
    results: list[CheckResult] = []
    named = quality.servable in quality.checks
    for check in (*quality.checks, *(() if named else (quality.servable,))):
        result = evaluate_check(check, measured)
        same = sum(result.name == other.name or other.name.startswith(f"{result.name} (") for other in results)
        results.append(result.model_copy(update={"name": f"{result.name} ({same + 1})"}) if same else result)
    return tuple(results)


def decide_verdict(inputs: EvaluateInputs, assessed: Assessed, served: ServingProof) -> Verdict:
    """The whole verdict. Raises what :func:`evaluate_check` raises."""
    quality, scored = inputs.quality, assessed.scored
    checks = evaluate_checks(quality, Measured(scored, served))
    return Verdict(
        model=inputs.model,
        task=scored.task,
        decision=decide(checks),
        metric=quality.metric,
        direction=METRICS[scored.task][quality.metric],
        confidence=quality.confidence,
        rows=assessed.rows,
        sample_rows=min(assessed.rows, quality.sample_rows),
        contenders=contender_rows(inputs.model, assessed),
        differences=paired_differences(scored),
        checks=checks,
        slices=tuple(result for results in scored.slices.values() for result in results),
        drift=scored.drift,
        served=served,
        judges=tuple(scored.judges.values()),
        data_fingerprint=inputs.card.fingerprint,
        spec_digest=inputs.spec_digest,
        code=inputs.code,
        **assessed.facts,
    )
