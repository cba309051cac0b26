"""What a comparison of two served models says, against servers that really answer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness.shops import amounts, fit_and_save, moods, shop_rows

from delivery.models.folder import load_model
from delivery.serving.clients.compare import ClassComparison, NumberComparison, compare_numbers, compare_served
from delivery.serving.process.process import RunningServer, serving
from training.errors import InputError, OstinatoError


@pytest.fixture(scope="module")
def other_regressor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = shop_rows(400, seed=3)
    return fit_and_save(tmp_path_factory.mktemp("other") / "model", rows, amounts(rows) + 2)


@pytest.fixture(scope="module")
def other_amounts(other_regressor: Path) -> Iterator[RunningServer]:
    with serving(other_regressor, "amount") as served:
        yield served


@pytest.fixture(scope="module")
def other_moods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    rows = shop_rows(400, seed=3)
    folder = fit_and_save(tmp_path_factory.mktemp("moods") / "model", rows, moods(rows))
    with serving(folder, "mood") as served:
        yield served


def test_two_regressors_are_compared_by_what_they_answered(
    amount_server: RunningServer,
    other_amounts: RunningServer,
    regressor: Path,
    other_regressor: Path,
    test_rows: pd.DataFrame,
) -> None:
    found = compare_served(amount_server.url, other_amounts.url, "amount", test_rows, "regression")
    assert isinstance(found, NumberComparison)
    live, shadow = (load_model(one).predict(test_rows) for one in (regressor, other_regressor))
    assert (found.rows, found.live.count) == (2000, 2000)
    assert found.live.mean == pytest.approx(np.mean(live)) and found.shadow.std == pytest.approx(np.std(shadow))
    quantiles = (found.shadow.q01, found.shadow.q50, found.shadow.q99)
    assert quantiles == pytest.approx(tuple(np.quantile(shadow, (0.01, 0.5, 0.99))))
    assert found.mean_difference == pytest.approx(np.mean(shadow - live)) and 1.5 < found.mean_difference < 2.5
    assert abs(found.largest_difference) == pytest.approx(np.abs(shadow - live).max())
    assert found.share_equal == np.mean(shadow == live)
    assert found.correlation == pytest.approx(np.corrcoef(live, shadow)[0, 1])


def test_a_model_compared_with_itself_is_equal(amount_server: RunningServer, test_rows: pd.DataFrame) -> None:
    found = compare_served(amount_server.url, amount_server.url, "amount", test_rows.head(50), "regression")
    assert isinstance(found, NumberComparison)
    assert (found.share_equal, found.largest_difference, found.live) == (1.0, 0.0, found.shadow)
    assert found.correlation == pytest.approx(1.0)


def test_two_classifiers_are_compared_by_class(
    mood_server: RunningServer, other_moods: RunningServer, test_rows: pd.DataFrame
) -> None:
    found = compare_served(mood_server.url, other_moods.url, "mood", test_rows, "classification")
    assert isinstance(found, ClassComparison)
    assert found.classes == ("good", "great", "müde")
    assert sum(found.live.values()) == pytest.approx(1) and sum(found.shadow.values()) == pytest.approx(1)
    counted = {one: sum(found.confusion[one].values()) for one in found.classes}
    assert counted == {one: round(share * found.rows) for one, share in found.live.items()}
    same = sum(found.confusion[one][one] for one in found.classes)
    assert 0.5 < found.agreement == same / found.rows < 1


def test_a_constant_answer_has_no_correlation_and_one_that_is_not_finite_is_named() -> None:
    assert compare_numbers(np.array([1.0, 1.0]), np.array([1.0, 2.0])).correlation is None
    with pytest.raises(OstinatoError, match="the shadow answered nan for row 1"):
        compare_numbers(np.array([1.0, 2.0]), np.array([1.0, np.nan]))


def test_a_server_that_is_away_or_rows_that_lack_a_column_are_named(
    amount_server: RunningServer, test_rows: pd.DataFrame
) -> None:
    with pytest.raises(OstinatoError, match=r"nobody answers at http://127\.0\.0\.1:9"):
        compare_served(amount_server.url, "http://127.0.0.1:9", "amount", test_rows.head(2), "regression")
    with pytest.raises(InputError, match="the rows lack the column 'town'"):
        lacking = test_rows.head(2).drop(columns="town")
        compare_served(amount_server.url, amount_server.url, "amount", lacking, "regression")
