"""Exact metrics agree with scikit-learn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB

from components.evaluate.shared.bootstrap import Groups, draw, interval, random_groups, time_blocks
from components.evaluate.table.metrics import Actual, Prediction
from components.evaluate.table.roc import roc_auc, roc_points
from components.evaluate.table.scoring import score
from components.evaluate.table.scorings import metric_sums, metrics_of


def regression() -> tuple[Actual, Prediction]:
    bunch: Any = load_diabetes()
    x, y = bunch.data, bunch.target
    model = LinearRegression().fit(x[:300], y[:300])
    return Actual(y[300:].astype(float)), Prediction(model.predict(x[300:]))


def classification(load: Any, model: Any) -> tuple[Actual, Prediction]:
    x, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    cut = len(y) // 2
    model.fit(x[:cut], y[:cut])
    chances = model.predict_proba(x[cut:])
    return Actual(y[cut:].astype(np.intp), model.classes_, "classification"), Prediction(
        chances.argmax(axis=1), chances
    )


def of_all(actual: Actual, prediction: Prediction) -> dict[str, float]:
    groups = Groups(np.zeros(actual.rows, dtype=np.intp), 1)
    return {name: float(v[0]) for name, v in metrics_of(actual.task, metric_sums(actual, prediction, groups)).items()}


def test_regression_metrics_equal_those_of_scikit_learn():
    actual, said = regression()
    y, p = actual.values, said.values
    assert of_all(actual, said) == pytest.approx(
        {
            "mae": sk.mean_absolute_error(y, p),
            "rmse": sk.root_mean_squared_error(y, p),
            "r2": sk.r2_score(y, p),
            "bias": float(np.mean(p - y)),
            "mape": sk.mean_absolute_percentage_error(y, p),
        },
        rel=1e-12,
    )


def test_r2_is_exact_for_a_target_far_from_zero():
    actual, said = regression()
    far = of_all(Actual(actual.values + 1e9), Prediction(said.values + 1e9))
    assert far["r2"] == pytest.approx(sk.r2_score(actual.values, said.values), rel=1e-6)


def test_mape_leaves_out_rows_whose_actual_value_is_zero():
    found = of_all(Actual(np.array([0.0, 2.0, 4.0])), Prediction(np.array([9.0, 1.0, 4.0])))
    assert found["mape"] == pytest.approx((0.5 + 0.0) / 2)


def test_r2_and_mape_are_undefined_for_a_constant_zero_target():
    found = of_all(Actual(np.zeros(5)), Prediction(np.ones(5)))
    assert np.isnan(found["r2"]) and np.isnan(found["mape"])


def test_r2_is_undefined_for_a_constant_target_that_binary_numbers_cannot_hold():
    assert np.isnan(of_all(Actual(np.full(7, 0.1)), Prediction(np.arange(7.0)))["r2"])


@pytest.mark.parametrize(
    ("load", "model"),
    [(load_breast_cancer, GaussianNB()), (load_wine, GaussianNB()), (load_digits, LogisticRegression(max_iter=200))],
    ids=["two classes", "three classes", "ten classes"],
)
def test_classification_metrics_equal_those_of_scikit_learn(load, model):
    actual, said = classification(load, model)
    assert actual.classes is not None and said.probabilities is not None
    y, p, chances = actual.values, said.values, said.probabilities
    binary = len(actual.classes) == 2
    average: dict[str, Any] = {"average": "binary" if binary else "macro"}
    scores = chances[:, 1] if binary else chances
    expected = {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "precision": sk.precision_score(y, p, **average),
        "recall": sk.recall_score(y, p, **average),
        "f1": sk.f1_score(y, p, **average),
        "log_loss": sk.log_loss(y, chances),
        "brier": sk.brier_score_loss(y, scores),
    }
    assert of_all(actual, said) == pytest.approx(expected, rel=1e-9)
    assert roc_auc(actual, said) == pytest.approx(sk.roc_auc_score(y, scores, multi_class="ovr"), rel=1e-12)


def test_macro_averages_ignore_a_class_that_neither_occurs_nor_is_predicted():
    actual = Actual(np.array([0, 1, 0, 1]), np.array(["a", "b", "c"]), "classification")
    said = Prediction(np.array([0, 1, 1, 1]))
    found = of_all(actual, said)
    assert found["f1"] == pytest.approx(sk.f1_score(actual.values, said.values, average="macro"))


def test_roc_auc_counts_ties_as_half():
    actual = Actual(np.array([0, 0, 1, 1, 1, 0]), np.array([0, 1]), "classification")
    scores = np.array([0.1, 0.5, 0.5, 0.5, 0.9, 0.9])
    said = Prediction((scores > 0.4).astype(int), np.column_stack([1 - scores, scores]))
    assert roc_auc(actual, said) == pytest.approx(sk.roc_auc_score(actual.values, scores))


def test_roc_auc_of_a_constant_score_is_one_half():
    said = Prediction(np.zeros(4, dtype=int), np.full((4, 2), 0.5))
    assert roc_auc(Actual(np.array([0, 1, 1, 0]), np.array([0, 1])), said) == 0.5


def test_swapping_the_labels_keeps_what_does_not_name_a_positive_class():
    actual, said = classification(load_breast_cancer, GaussianNB())
    assert said.probabilities is not None
    swapped = replace(actual, values=1 - actual.values), Prediction(1 - said.values, said.probabilities[:, ::-1])
    before, after = of_all(actual, said), of_all(*swapped)
    for name in ("accuracy", "balanced_accuracy", "log_loss", "brier"):
        assert after[name] == pytest.approx(before[name])
    assert roc_auc(*swapped) == pytest.approx(roc_auc(actual, said))
    assert after["recall"] != pytest.approx(before["recall"])


def test_roc_points_are_finite_and_end_at_one():
    actual, said = classification(load_breast_cancer, GaussianNB())
    fpr, tpr, thresholds = roc_points(actual, said, most=20)
    assert len(fpr) <= 20 and np.isfinite(thresholds).all()
    assert (fpr[-1], tpr[-1]) == (1.0, 1.0)
    assert (np.diff(fpr) >= 0).all() and (np.diff(tpr) >= 0).all() and (np.diff(thresholds) < 0).all()


def test_group_sums_add_up_to_the_whole():
    actual, said = regression()
    groups = random_groups(actual.rows)
    sums = metric_sums(actual, said, groups)
    whole = metrics_of(actual.task, {name: value.sum(axis=0, keepdims=True) for name, value in sums.items()})
    assert {k: float(v[0]) for k, v in whole.items()} == pytest.approx(of_all(actual, said), rel=1e-9)


def test_a_resample_of_single_rows_equals_the_metric_of_the_drawn_rows():
    actual, said = classification(load_breast_cancer, GaussianNB())
    groups = random_groups(actual.rows)
    weights = draw(groups.count)
    found = score(actual, said, groups, weights).resamples
    assert said.probabilities is not None
    for b in (0, 17, 999):
        rows = np.repeat(np.arange(actual.rows), weights[b].astype(int))
        y, p, chance = actual.values[rows], said.values[rows], said.probabilities[rows]
        assert found["f1"][b] == pytest.approx(sk.f1_score(y, p))
        assert found["log_loss"][b] == pytest.approx(sk.log_loss(y, chance))
        assert found["roc_auc"][b] == pytest.approx(sk.roc_auc_score(y, chance[:, 1]), abs=2e-3)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        error = rng.exponential(size=300)
        actual, said = Actual(np.zeros(300)), Prediction(error)
        groups = random_groups(300)
        ends = interval(score(actual, said, groups, draw(groups.count)).resamples["mae"], 0.9)
        assert ends is not None
        covered += ends[0] <= 1.0 <= ends[1]
    assert 0.82 <= covered / 200 <= 0.97


def test_blocks_give_wider_intervals_than_single_rows_for_autocorrelated_errors():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=3000)
    error = np.empty(3000)
    error[0] = noise[0]
    for i in range(1, 3000):
        error[i] = 0.8 * error[i - 1] + noise[i]
    actual, said = Actual(np.zeros(3000)), Prediction(error)

    def width(groups: Groups) -> float:
        ends = interval(score(actual, said, groups, draw(groups.count)).resamples["bias"], 0.95)
        assert ends is not None
        return ends[1] - ends[0]

    truth = 2 * 1.96 * (1 / 0.2) / np.sqrt(3000)
    blocks, rows = width(time_blocks(3000, days=125)), width(random_groups(3000))
    assert rows < 0.5 * truth
    assert 0.7 * truth < blocks < 1.3 * truth


@pytest.mark.parametrize("rows", [1, 2, 19, 1000, 1344, 1_000_000])
def test_time_blocks_are_neighbours_and_never_more_than_a_thousand(rows):
    groups = time_blocks(rows, days=max(1, rows // 24))
    assert (np.diff(groups.index) >= 0).all() and groups.index[-1] == groups.count - 1
    assert groups.count <= 1000


def test_hourly_rows_of_eight_weeks_are_drawn_by_whole_days():
    assert time_blocks(1344, days=56).count == 56


def test_intervals_are_the_same_for_the_same_rows():
    actual, said = regression()
    groups = random_groups(actual.rows)
    first, second = (score(actual, said, groups, draw(groups.count)).resamples["mae"] for _ in range(2))
    assert (first == second).all()


def test_an_interval_is_undefined_where_most_resamples_are():
    assert interval(np.array([np.nan, np.nan, np.nan, 1.0]), 0.95) is None
