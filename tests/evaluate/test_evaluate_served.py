"""A candidate that the runtime can't answer as it was judged does not pass, whatever its metrics are."""

import json

import numpy as np
import pytest
from harness.measured import measured
from harness.verdicts import proof
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.evaluate.checks.decide import evaluate_check
from delivery.documents.sample import Sample
from delivery.documents.verdict import Latency
from training.spec import ColdStartCheck, LatencyCheck, QualitySpec, ServableCheck, SizeCheck

MAE = {"kind": "absolute", "metric": "mae", "max": 60}


def found(verdict, name):
    return next(check for check in verdict.checks if check.name == name)


def test_every_verdict_has_the_proof_although_no_check_names_it(diabetes):
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=[MAE]).verdict
    check = found(verdict, "served as judged")
    assert (check.status, check.required, check.observed, check.bound) == ("passed", True, 0, 1e-9)
    proof = verdict.served
    assert proof and proof.rows == len(diabetes.test) and proof.worst_difference == 0 and not proof.failure
    assert proof.runtime == "ostinato-mlflow" and proof.protocol == "v2" and proof.cold_start_s > 0
    assert [(one.concurrency, one.calls > 0) for one in proof.latency] == [(1, True)]


def test_the_sample_of_the_proof_is_kept_and_the_verdict_has_its_digest(cancer):
    folder = cancer.save("c", make_pipeline(StandardScaler(), LogisticRegression()))
    checks = [{"kind": "absolute", "metric": "f1", "min": 0.5}, {"kind": "servable", "rows": 50}]
    verdict = cancer.run(folder, metric="f1", checks=checks).verdict
    sample = Sample.read(cancer.root / "sample.json")
    assert verdict.served and verdict.served.sample_digest == sample.digest()
    assert sample.model_digest == verdict.contender("candidate").digest
    assert len(sample.rows) == len(sample.expected) == verdict.served.rows == 50
    assert set(sample.expected) == {"benign", "malignant"}
    assert [check.name for check in verdict.checks] == ["f1 at least 0.5", "served as judged"]


def test_a_model_that_the_runtime_refuses_rows_of_is_rejected_although_it_is_good(diabetes):
    """Trained without a gap, tested with one: offline it predicts, but the server demands a value."""
    folder = diabetes.save("c", make_pipeline(SimpleImputer(), Ridge()))
    diabetes.test.iloc[5, diabetes.test.columns.get_loc("bmi")] = np.nan
    diabetes.rewrite()
    checks = [MAE, {"kind": "latency", "max_p99_ms": 10_000}, {"kind": "cold_start", "max_s": 60}]
    verdict = diabetes.run(folder, metric="mae", checks=checks).verdict
    assert verdict.decision == "reject"
    assert found(verdict, "mae at most 60").status == "passed"
    check = found(verdict, "served as judged")
    assert check.status == "failed" and check.observed is None
    assert "column 'bmi' is missing (null or NaN) in row 5" in check.reason
    for name in ("latency, one at a time", "cold start"):
        assert found(verdict, name).status == "failed" and "could not be measured" in found(verdict, name).reason


def test_cold_start_and_latency_are_checked_at_the_stated_concurrency(diabetes):
    folder = diabetes.save("c", Ridge())
    checks = [
        {"kind": "latency", "max_p99_ms": 60_000, "max_p50_ms": 60_000, "concurrency": 3},
        {"kind": "latency", "max_p99_ms": 60_000, "max_p50_ms": 1e-6},
        {"kind": "cold_start", "max_s": 600},
        {"kind": "cold_start", "max_s": 1e-6, "required": False},
    ]
    verdict = diabetes.run(folder, metric="mae", checks=checks).verdict
    states = {check.name: check.status for check in verdict.checks}
    assert states == {
        "latency, 3 at a time": "passed",
        "latency, one at a time": "failed",
        "cold start": "passed",
        "cold start (2)": "failed",
        "served as judged": "passed",
    }
    assert verdict.served and [one.concurrency for one in verdict.served.latency] == [1, 3]


def timed(**changed):
    latency = (Latency(concurrency=1, p50_ms=3, p99_ms=9, calls=200),)
    return proof(**{"cold_start_s": 2.0, "latency": latency, **changed})


@pytest.mark.parametrize(
    ("worst", "task", "status", "words"),
    [
        (0.0, "regression", "passed", "as it was judged"),
        (1e-9, "regression", "passed", "at most 1e-09 is allowed"),
        (1.1e-9, "regression", "failed", "otherwise than it was judged"),
        (0.0, "classification", "passed", "with the classes that it was judged by"),
        (0.002, "classification", "failed", "another class in 0.2 % of them"),
        (None, "regression", "failed", "r does not serve it: no such file"),
    ],
)
def test_only_equal_answers_pass(worst, task, status, words):
    failure = "" if worst is not None else "no such file"
    allowed = 1e-9 if task == "regression" else 0.0
    served = timed(worst_difference=worst, failure=failure, tolerance=allowed)
    check = evaluate_check(ServableCheck(kind="servable"), measured(served, task=task))
    assert (check.status, check.required) == (status, True) and words in check.reason
    json.dumps(check.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize(
    ("bounds", "status"),
    [
        ({"max_p99_ms": 9}, "passed"),
        ({"max_p99_ms": 8.9}, "failed"),
        ({"max_p99_ms": 9, "max_p50_ms": 3}, "passed"),
        ({"max_p99_ms": 9, "max_p50_ms": 2.9}, "failed"),
    ],
)
def test_both_bounds_of_a_latency_check_must_hold(bounds, status):
    assert evaluate_check(LatencyCheck(kind="latency", **bounds), measured(timed())).status == status


def test_cold_start_and_size_have_their_bound_included():
    assert evaluate_check(ColdStartCheck(kind="cold_start", max_s=2), measured(timed())).status == "passed"
    assert evaluate_check(ColdStartCheck(kind="cold_start", max_s=1.9), measured(timed())).status == "failed"
    assert evaluate_check(SizeCheck(kind="size", max_mib=1), measured(timed())).status == "passed"
    assert (
        evaluate_check(SizeCheck(kind="size", max_mib=0.9), measured(timed(failure="x", cold_start_s=None))).status
        == "failed"
    )


def test_the_proof_can_not_be_named_twice_nor_made_optional():
    with pytest.raises(ValueError, match="named twice"):
        QualitySpec.model_validate({"metric": "mae", "checks": [{"kind": "servable"}, {"kind": "servable", "rows": 9}]})
    with pytest.raises(ValueError, match="required"):
        QualitySpec.model_validate({"metric": "mae", "checks": [{"kind": "servable", "required": False}]})


def test_an_export_to_onnx_has_a_tolerance_of_its_own_unless_one_is_stated():
    check = ServableCheck(kind="servable")
    assert (check.tolerance_for("mlflow"), check.tolerance_for("onnx")) == (1e-9, 1e-4)
    assert ServableCheck(kind="servable", tolerance=0).tolerance_for("onnx") == 0
