"""What better, worse, and a margin mean."""

import math

import numpy as np
import pytest
from harness.verdicts import proof

from components.evaluate.checks.decide import evaluate_checks
from components.evaluate.shared.bootstrap import Scores, draw, random_groups
from components.evaluate.shared.compare import difference, worse_by
from components.evaluate.shared.scored import Measured, ScoredContenders
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.scoring import score
from delivery.documents.verdict import DriftResult
from training.spec import QualitySpec

N = 2000


def evidence(candidate: np.ndarray, champion: np.ndarray, actual: np.ndarray | None = None) -> ScoredContenders:
    """Errors of two regressors on a target that is 100 plus noise, unless an actual target is given."""
    target = Actual(np.random.default_rng(9).normal(100, 10, N) if actual is None else actual)
    groups = random_groups(target.rows)
    weights = draw(groups.count)
    one, two = (score(target, Prediction(target.values + error), groups, weights) for error in (candidate, champion))
    return ScoredContenders(task="regression", confidence=0.95, candidate=one, champion=two, baseline=two)


def outcome(found: ScoredContenders, metric: str, margin: float = 0.0, kind: str = "champion"):
    check = {"kind": kind, "metric": metric, "margin": margin}
    return evaluate_checks(QualitySpec.model_validate({"metric": metric, "checks": [check]}), Measured(found, proof()))[
        0
    ]


def noise(seed: int, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, N)


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "mape"])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("size", [0.9, 0.5, 0.1, 0.001])
def test_a_challenger_that_is_better_by_any_amount_is_never_refused(metric, margin, size):
    error = noise(1)
    assert outcome(evidence(error * size, error), metric, margin).status == "passed"


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "mape", "bias"])
def test_an_equal_challenger_passes_at_margin_zero_and_fails_where_an_improvement_is_demanded(metric):
    found = evidence(noise(1), noise(1))
    assert outcome(found, metric, 0.0).status == "passed"
    assert outcome(found, metric, -0.01).status == "failed"


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "mape"])
def test_a_challenger_that_is_worse_beyond_the_margin_is_refused(metric):
    error = noise(1)
    assert outcome(evidence(error * 3, error), metric, 0.005).status == "failed"


def test_a_challenger_as_good_with_other_errors_passes_with_a_margin_and_mostly_not_without():
    results = [[outcome(evidence(noise(a), noise(a + 100)), "mae", m).status for m in (0.15, 0.0)] for a in range(20)]
    with_margin, without = zip(*results, strict=True)
    assert with_margin.count("passed") == 20
    assert without.count("passed") <= 3


def test_the_observed_value_is_the_unfavourable_end_and_the_margin_decides_exactly_there():
    found = evidence(noise(1, 1.02), noise(2))
    observed = outcome(found, "mae").observed
    assert observed is not None
    assert outcome(found, "mae", observed).status == "passed"
    assert outcome(found, "mae", observed - 1e-9).status == "failed"


def test_bias_is_judged_by_its_absolute_value_on_either_side():
    low, high = noise(1, 0.1) - 5.0, noise(2, 0.1) + 5.5
    assert outcome(evidence(low, high), "bias").status == "passed"
    assert outcome(evidence(high, low), "bias").status == "failed"
    check = {"kind": "absolute", "metric": "bias", "max": 3}
    result, _ = evaluate_checks(
        QualitySpec.model_validate({"metric": "mae", "checks": [check]}), Measured(evidence(low, high), proof())
    )
    assert result.status == "failed" and result.observed == pytest.approx(5.0, abs=0.1)


def test_no_margin_excuses_being_worse_than_a_perfect_champion():
    result = outcome(evidence(noise(1), np.zeros(N)), "mae", 5.0)
    assert result.status == "failed" and result.observed is None and "infinitely worse" in result.reason


def test_two_perfect_models_are_equal():
    result = outcome(evidence(np.zeros(N), np.zeros(N)), "mae")
    assert result.status == "passed" and result.observed == 0


def test_a_negative_r2_of_the_champion_still_has_the_right_direction():
    bad, worse = noise(1, 40.0), noise(1, 60.0)
    assert outcome(evidence(bad, worse), "r2").status == "passed"
    assert outcome(evidence(worse, bad), "r2").status == "failed"


@pytest.mark.parametrize(
    ("metric", "candidate", "other", "expected"),
    [
        ("mae", 9.0, 10.0, -0.1),
        ("mae", 11.0, 10.0, 0.1),
        ("r2", 0.9, 0.8, -0.125),
        ("r2", -0.2, -0.1, 1.0),
        ("bias", -1.0, 2.0, -0.5),
        ("bias", 0.0, 0.0, 0.0),
        ("mae", 1.0, 0.0, math.inf),
        ("r2", 0.5, 0.0, -math.inf),
    ],
)
def test_worse_by_is_relative_to_the_other_and_positive_when_worse(metric, candidate, other, expected):
    assert float(worse_by(metric, "regression", candidate, other)) == pytest.approx(expected)


def test_the_difference_of_bias_is_between_absolute_values():
    assert float(difference("bias", -1.0, 3.0)) == -2.0 and float(difference("mae", 1.0, 3.0)) == -2.0


def test_a_metric_that_few_resamples_define_supports_no_pass():
    found = evidence(noise(1), noise(2))
    rare = {**found.candidate.resamples, "mae": np.full(1000, np.nan)}
    found = ScoredContenders("regression", 0.95, Scores(found.candidate.values, rare), found.champion, None)
    result = outcome(found, "mae", 5.0)
    assert result.status == "failed" and "no interval" in result.reason


def test_check_names_are_unique():
    check = {"kind": "absolute", "metric": "mae", "max": 2}
    spec = QualitySpec.model_validate({"metric": "mae", "checks": [check, check, check]})
    names = [result.name for result in evaluate_checks(spec, Measured(evidence(noise(1), noise(2)), proof()))]
    assert names == ["mae at most 2", "mae at most 2 (2)", "mae at most 2 (3)", "served as judged"]


@pytest.mark.parametrize(("share", "status"), [(0.49, "failed"), (0.5, "passed")])
def test_drift_share_is_of_the_measured_columns(share, status):
    found = evidence(noise(1), noise(1))
    moved = [
        DriftResult(column=c, method="m", score=1, threshold=0.1, drifted=d) for c, d in (("a", True), ("b", False))
    ]
    found = ScoredContenders("regression", 0.95, found.candidate, None, None, drift=tuple(moved))
    spec = QualitySpec.model_validate({"metric": "mae", "checks": [{"kind": "drift", "max_share": share}]})
    assert evaluate_checks(spec, Measured(found, proof()))[0].status == status
