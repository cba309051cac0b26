"""The evaluate step on real models and data: decisions, evidence, and bad input."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from delivery.documents.verdict import Verdict
from training.errors import InputError, OstinatoError

MAE = {"kind": "absolute", "metric": "mae", "max": 60}
AGAINST = {"kind": "champion", "metric": "mae", "margin": 0.02}
BALANCED = {"kind": "absolute", "metric": "balanced_accuracy", "min": 0.8}


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression())


def status(verdict: Verdict) -> dict[str, str]:
    """Of the checks that the spec names; the one that every verdict has is asserted where it matters."""
    return {check.name: check.status for check in verdict.checks if check.kind != "servable"}


def test_a_first_candidate_has_champion_checks_not_applicable_and_passes_on_the_others(diabetes):
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=[MAE, AGAINST]).verdict
    assert verdict.decision == "pass"
    assert status(verdict) == {"mae at most 60": "passed", "mae against champion": "not applicable"}
    assert verdict.differences == {} and verdict.contender("champion") is None


def test_a_candidate_that_breaks_an_absolute_bound_is_refused(diabetes):
    verdict = diabetes.run(diabetes.save("c", DummyRegressor()), metric="mae", checks=[MAE]).verdict
    assert verdict.decision == "reject" and [c.name for c in verdict.refusals] == ["mae at most 60"]


def test_a_check_that_is_not_required_fails_without_refusing(diabetes):
    checks = [{**MAE, "max": 1, "required": False}]
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=checks).verdict
    assert verdict.decision == "pass" and status(verdict) == {"mae at most 1": "failed"}


def test_a_candidate_equal_to_the_champion_passes_at_margin_zero(diabetes):
    folder = diabetes.save("c", Ridge())
    verdict = diabetes.run(folder, folder, metric="mae", checks=[{**AGAINST, "margin": 0}]).verdict
    assert verdict.decision == "pass"
    assert all(m.value == m.low == m.high == 0 for m in verdict.differences.values())


def test_a_clearly_worse_candidate_is_refused_and_a_clearly_better_one_never_is(diabetes):
    good, bad = diabetes.save("good", LinearRegression()), diabetes.save("bad", DummyRegressor())
    checks = [{"kind": "champion", "metric": m, "margin": 0} for m in ("mae", "rmse", "r2")]
    worse = diabetes.run(bad, good, metric="mae", checks=checks).verdict
    better = diabetes.run(good, bad, metric="mae", checks=checks).verdict
    assert set(status(worse).values()) == {"failed"} and worse.decision == "reject"
    assert set(status(better).values()) == {"passed"} and better.decision == "pass"


def test_swapping_candidate_and_champion_turns_every_difference_around(diabetes):
    one, two = diabetes.save("one", Ridge()), diabetes.save("two", LinearRegression())
    there = diabetes.run(one, two, metric="mae", checks=[MAE]).verdict.differences
    back = diabetes.run(two, one, metric="mae", checks=[MAE]).verdict.differences
    for name in ("mae", "rmse", "r2", "bias", "mape"):
        assert there[name].value == pytest.approx(-back[name].value)
        assert there[name].low == pytest.approx(-back[name].high)


def test_the_verdict_names_everything_and_reads_back(diabetes):
    folder = diabetes.save("c", Ridge(), train_time_to="2023-12-31T23:00:00")
    verdict = diabetes.run(folder, folder, metric="mae", checks=[AGAINST]).verdict
    read = Verdict.read(diabetes.root / "verdict.json")
    assert read == verdict
    assert read.rows == len(diabetes.test) and read.data_fingerprint == "sha256:fingerprint"
    champion = read.contender("champion")
    assert champion and champion.version == "7" and champion.digest.startswith("sha256:")
    assert set(champion.metrics) == {"mae", "rmse", "r2", "bias", "mape"}
    assert read.test_from == diabetes.test["at"].min() and read.warnings == ()


def test_equal_input_gives_equal_verdicts_and_pages_but_for_what_a_clock_measured(diabetes):
    folder = diabetes.save("c", Ridge())
    written = []
    for _ in range(2):
        diabetes.run(folder, folder, metric="mae", checks=[AGAINST, {"kind": "size", "max_mib": 1}])
        verdict = json.loads((diabetes.root / "verdict.json").read_text())
        verdict["served"] |= {"cold_start_s": 0, "latency": []}
        page = (diabetes.root / "report.html").read_text()
        written.append((verdict, re.sub("<h2>Serving</h2>.*?</section>", "", page, flags=re.DOTALL)))
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("baseline", "name"),
    [({"kind": "mean"}, "mean of training rows"), ({"kind": "column", "column": "previous", "name": "naive"}, "naive")],
)
def test_a_regression_baseline_has_its_own_row(diabetes, baseline, name):
    check = {"kind": "baseline", "metric": "mae", "margin": -0.05}
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", baseline=baseline, checks=[check]).verdict
    found = verdict.contender("baseline")
    y = diabetes.test["progression"]
    said = diabetes.train["progression"].mean() if baseline["kind"] == "mean" else diabetes.test["previous"]
    assert found.name == name and found.metrics["mae"].value == pytest.approx((y - said).abs().mean())
    assert verdict.decision == "pass"


def test_a_margin_against_the_baseline_that_the_interval_does_not_reach_is_refused(diabetes):
    check = {"kind": "baseline", "metric": "mae", "margin": -0.6}
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", baseline={"kind": "mean"}, checks=[check]).verdict
    assert verdict.decision == "reject"
    assert "at least 60 % better is demanded" in verdict.checks[0].reason


def test_the_majority_baseline_says_the_training_frequencies(cancer):
    check = {"kind": "baseline", "metric": "log_loss", "margin": -0.5}
    run = cancer.run(cancer.save("c", logistic()), metric="roc_auc", baseline={"kind": "majority"}, checks=[check])
    found = run.verdict.contender("baseline").metrics
    share = (cancer.train["target"] == "malignant").mean()
    truth = cancer.test["target"] == "malignant"
    assert found["roc_auc"].value == 0.5 and found["recall"].value == 0.0
    expected = -np.log(np.where(truth, share, 1 - share)).mean()
    assert found["log_loss"].value == pytest.approx(expected)
    assert run.verdict.decision == "pass"


def test_slices_with_few_rows_are_listed_and_not_judged(diabetes):
    check = {"kind": "slice", "column": "group", "metric": "mae", "max": 1}
    folder = diabetes.save("c", Ridge())
    few = diabetes.run(folder, metric="mae", checks=[{**check, "min_rows": 1000}]).verdict
    assert [s.value for s in few.slices] == ["high", "low"] and few.checks[0].status == "not applicable"
    many = diabetes.run(folder, metric="mae", checks=[check]).verdict
    assert many.checks[0].status == "failed" and "2 of 2 judged slices" in many.checks[0].reason


def test_slice_values_are_the_metric_of_their_rows(cancer):
    check = {"kind": "slice", "column": "group", "metric": "roc_auc", "champion_margin": 0.5}
    run = cancer.run(
        cancer.save("c", logistic()), cancer.save("champion", GaussianNB()), metric="roc_auc", checks=[check]
    )
    from sklearn.metrics import roc_auc_score

    for one in run.verdict.slices:
        rows = (cancer.test["group"] == one.value).to_numpy()
        chance = run.predictions.candidate.probabilities[rows, 1]
        assert one.rows == rows.sum()
        assert one.candidate == pytest.approx(roc_auc_score(cancer.test["target"][rows] == "malignant", chance))
        assert one.worse == (one.candidate < one.champion)


def test_a_slice_that_got_much_worse_than_the_champion_is_refused(diabetes):
    check = {"kind": "slice", "column": "group", "metric": "mae", "champion_margin": 0.1}
    good, bad = diabetes.save("good", Ridge(alpha=0.1)), diabetes.save("bad", DummyRegressor())
    assert diabetes.run(bad, good, metric="mae", checks=[check]).verdict.decision == "reject"
    assert diabetes.run(good, bad, metric="mae", checks=[check]).verdict.decision == "pass"
    assert diabetes.run(good, metric="mae", checks=[check]).verdict.checks[0].status == "not applicable"


def test_drift_counts_the_columns_that_moved(diabetes):
    check = {"kind": "drift", "max_share": 0.05}
    folder = diabetes.save("c", Ridge())
    still = diabetes.run(folder, metric="mae", checks=[check]).verdict
    assert {d.column for d in still.drift} == {*diabetes.inputs, "group"}
    moved = diabetes.test.copy()
    moved[["bmi", "bp"]] += 1
    diabetes.test = moved
    diabetes.rewrite()
    verdict = diabetes.run(folder, metric="mae", checks=[check]).verdict
    assert {"bmi", "bp"} <= {d.column for d in verdict.drift if d.drifted}
    assert verdict.checks[0].status == "failed" and "bmi" in verdict.checks[0].reason


def test_latency_and_size_are_checked(diabetes):
    folder = diabetes.save("c", Ridge())
    checks = [{"kind": "latency", "max_p99_ms": 10_000}, {"kind": "size", "max_mib": 1}]
    passed = diabetes.run(folder, metric="mae", checks=checks).verdict
    assert passed.decision == "pass" and passed.checks[0].observed > 0
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20
    assert passed.checks[1].observed == pytest.approx(size)
    checks = [{"kind": "latency", "max_p99_ms": 1e-6}, {"kind": "size", "max_mib": 1e-6}]
    assert set(status(diabetes.run(folder, metric="mae", checks=checks).verdict).values()) == {"failed"}


@pytest.mark.parametrize("labels", ["text", "int", "bool"])
def test_two_classes_work_with_labels_of_every_kind(cancer, labels):
    values = {"text": ("benign", "malignant"), "int": (0, 1), "bool": (False, True)}[labels]
    mapping = dict(zip(("benign", "malignant"), values, strict=True))
    for side in (cancer.train, cancer.test):
        side["target"] = side["target"].map(mapping)
    cancer.rewrite()
    folder = cancer.save("c", logistic())
    run = cancer.run(folder, cancer.save("n", GaussianNB()), metric="f1", checks=[BALANCED])
    assert run.verdict.decision == "pass" and run.verdict.contender("candidate").metrics["f1"].value > 0.9
    assert run.predictions.actual.classes.tolist() == list(values)


def test_more_than_two_classes_get_every_metric(wine):
    run = wine.run(wine.save("c", logistic()), wine.save("n", GaussianNB()), metric="f1", checks=[BALANCED])
    assert set(run.verdict.contender("candidate").metrics) == {
        *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier")
    }


def test_a_champion_that_never_saw_one_of_the_classes_is_judged_as_it_is(wine):
    two = wine.train[wine.train["target"] != 2]
    old = GaussianNB().fit(two[wine.inputs], two["target"])
    checks = [{"kind": "champion", "metric": m, "margin": 0} for m in ("f1", "log_loss", "roc_auc")]
    verdict = wine.run(wine.save("c", logistic()), wine.save("old", old), metric="f1", checks=checks).verdict
    assert verdict.decision == "pass"


def test_probability_metrics_of_a_model_without_probabilities_are_an_error_only_if_a_check_needs_them(cancer):
    folder = cancer.save("c", make_pipeline(StandardScaler(), LinearSVC()))
    verdict = cancer.run(folder, metric="accuracy", checks=[BALANCED]).verdict
    assert verdict.decision == "pass" and "log_loss" not in verdict.contender("candidate").metrics
    with pytest.raises(InputError, match="brier needs class probabilities, which the candidate does not give"):
        cancer.run(folder, metric="accuracy", checks=[{"kind": "absolute", "metric": "brier", "max": 1}])


def test_nan_predictions_are_an_error_that_counts_them_and_names_a_row(diabetes):
    model = Ridge().fit(diabetes.train[diabetes.inputs], diabetes.train["progression"])
    model.coef_ = np.full(len(diabetes.inputs), np.nan)
    with pytest.raises(OstinatoError, match=r"candidate predicts NaN or infinity for 148 of 148 rows.*test row 0"):
        diabetes.run(diabetes.save("c", model), metric="mae", checks=[MAE])
    assert not (diabetes.root / "verdict.json").exists()


def test_a_champion_with_nan_predictions_is_an_error_and_not_a_pass(diabetes):
    model = Ridge().fit(diabetes.train[diabetes.inputs], diabetes.train["progression"])
    model.intercept_ = float("inf")
    with pytest.raises(OstinatoError, match=r"the champion \(version 7\) predicts NaN or infinity"):
        diabetes.run(diabetes.save("c", Ridge()), diabetes.save("old", model), metric="mae", checks=[MAE])


def test_nan_probabilities_are_an_error(cancer):
    model = GaussianNB().fit(cancer.train[cancer.inputs], cancer.train["target"])
    model.theta_ = np.full_like(model.theta_, np.nan)
    with pytest.raises(OstinatoError, match="probabilities that are NaN"):
        cancer.run(cancer.save("c", model), metric="f1", checks=[BALANCED])


def test_a_champion_that_does_not_load_is_an_error_with_its_reason(diabetes):
    good, old = diabetes.save("c", Ridge()), diabetes.save("old", Ridge())
    (old / "model.skops").write_bytes(b"no zip")
    with pytest.raises(OstinatoError, match=r"the champion \(version 7\) can't be loaded.*ostinato promote"):
        diabetes.run(good, old, metric="mae", checks=[AGAINST])


def test_a_champion_whose_column_left_the_contract_is_an_error_with_its_reason(diabetes):
    fewer = [name for name in diabetes.inputs if name != "bmi"]
    old = diabetes.save("old", Ridge())
    for side in (diabetes.train, diabetes.test):
        side.drop(columns=["bmi"], inplace=True)
    diabetes.rewrite()
    diabetes.inputs = fewer
    with pytest.raises(
        OstinatoError, match=r"champion .* needs the column\(s\) 'bmi', which the data contract no longer"
    ):
        diabetes.run(diabetes.save("c", Ridge()), old, metric="mae", checks=[AGAINST])


def test_a_champion_that_can_no_longer_take_a_columns_type_is_an_error(diabetes):
    old = diabetes.save("old", Ridge())
    for side in (diabetes.train, diabetes.test):
        side["bmi"] = ["high" if value > 0 else "low" for value in side["bmi"]]
    diabetes.rewrite()
    diabetes.inputs.remove("bmi")
    with pytest.raises(OstinatoError, match=r"the champion \(version 7\) can't predict the test rows: ValueError"):
        diabetes.run(diabetes.save("c", Ridge()), old, metric="mae", checks=[AGAINST])


def test_a_champion_of_another_task_is_an_error(cancer):
    old = cancer.save("old", DummyRegressor().fit(cancer.train[cancer.inputs], np.zeros(len(cancer.train))))
    with pytest.raises(OstinatoError, match="is a regressor, but the task is classification"):
        cancer.run(cancer.save("c", GaussianNB()), old, metric="f1", checks=[BALANCED])


def test_a_version_without_a_model_folder_is_an_error(diabetes):
    empty = diabetes.root / "empty"
    empty.mkdir()
    with pytest.raises(OstinatoError, match="champion_version is '7', but"):
        diabetes.run(diabetes.save("c", Ridge()), empty, metric="mae", checks=[AGAINST])


def test_a_champion_that_may_have_seen_test_rows_is_a_warning(diabetes):
    late = diabetes.save("old", Ridge(), train_time_to=diabetes.test["at"].min().isoformat())
    early = diabetes.save("c", Ridge(alpha=2), train_time_to=diabetes.train["at"].max().isoformat())
    (warning,) = diabetes.run(early, late, metric="mae", checks=[MAE]).verdict.warnings
    assert "the champion (version 7) was trained on rows up to" in warning and "favours it" in warning
    (warning,) = diabetes.run(late, early, metric="mae", checks=[MAE]).verdict.warnings
    assert "the candidate was trained" in warning and "too good" in warning


def test_labels_of_another_type_than_the_targets_are_an_error(cancer):
    old = cancer.save("c", GaussianNB())
    for side in (cancer.train, cancer.test):
        side["target"] = (side["target"] == "malignant").astype(int)
    cancer.rewrite()
    with pytest.raises(
        OstinatoError, match=r"knows the classes \['benign', 'malignant'\], but the test rows have \[0, 1\]"
    ):
        cancer.run(old, metric="f1", checks=[BALANCED])


def test_one_class_only_in_the_test_rows_is_an_input_error_that_names_it(cancer):
    folder = cancer.save("c", DummyClassifier())
    cancer.test = cancer.test[cancer.test["target"] == "benign"]
    cancer.rewrite()
    with pytest.raises(InputError, match="one class only in the test rows \\('benign'\\)"):
        cancer.run(folder, metric="f1", checks=[BALANCED])


def test_a_metric_that_is_not_defined_is_an_input_error(diabetes):
    diabetes.test = diabetes.test.assign(progression=5.0)
    diabetes.rewrite()
    with pytest.raises(InputError, match="r2 of the candidate is not defined"):
        diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=[{"kind": "absolute", "metric": "r2", "min": 0}])


def test_test_rows_that_are_not_those_of_the_card_are_an_error(diabetes):
    path = diabetes.root / "data" / "test.parquet"
    diabetes.test.to_parquet(path)
    with pytest.raises(OstinatoError, match="the test rows changed after preprocess"):
        diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=[MAE])


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"checks": [{"kind": "slice", "column": "grup", "metric": "mae", "max": 1}]}, "Did you mean 'group'"),
        ({"checks": [{"kind": "slice", "column": "bmi", "metric": "mae", "max": 1}]}, None),
        ({"checks": [MAE], "baseline": {"kind": "column", "column": "lag"}}, "quality.baseline.column is 'lag'"),
        ({"checks": [MAE], "baseline": {"kind": "column", "column": "group"}}, "must hold finite numbers"),
    ],
    ids=["unknown slice column", "slice column with many values", "unknown baseline column", "text baseline"],
)
def test_a_column_that_does_not_fit_the_spec_is_an_input_error(diabetes, quality, message):
    if message is None:
        diabetes.test = pd.concat([diabetes.test] * 2).assign(bmi=np.arange(2.0 * len(diabetes.test)))
        diabetes.rewrite()
        message = "slice column 'bmi' has 296 distinct values"
    with pytest.raises(InputError, match=message):
        diabetes.run(diabetes.save("c", Ridge()), metric="mae", **quality)
