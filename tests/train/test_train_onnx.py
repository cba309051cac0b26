"""What serving by Triton relies on: the export answers as the estimator, and is a model repository as it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from harness.command_line import ROOT
from harness.shops import amounts, moods, shop_rows
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from delivery.models.folder import model_digest
from delivery.models.onnx.export import export_onnx
from delivery.models.onnx.parity import open_session, run_session
from training.errors import InputError, OstinatoError

NUMBERS = ["price", "rain", "visits"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests run beside each other: threads of a small fit that wait for a core make it ten times slower."""
    with threadpool_limits(1):
        yield


def encoded(*steps: Any) -> Any:
    towns = make_column_transformer((OneHotEncoder(sparse_output=False), ["town"]), remainder="passthrough")
    return make_pipeline(towns, *steps)


def weekdays(rows: pd.DataFrame) -> pd.DataFrame:
    """A column of numbers that are categories, with gaps, not in order of their positions."""
    days = np.random.default_rng(3).choice([-3.0, 0.5, 9.0, 40.0, np.nan], len(rows))
    return rows[NUMBERS].assign(weekday=days)


def positive(rows: pd.DataFrame) -> pd.Series:
    """An amount above 0 that depends on the weekday."""
    found = amounts(rows)
    return found - found.min() + 1 + 3 * weekdays(rows)["weekday"].fillna(7).abs()


def boosted(**options: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=40, random_state=0, **options)


DAYS = {"categorical_features": ["weekday"]}
ESTIMATORS: dict[str, tuple[Any, Any, Any, float]] = {
    "linear": (LinearRegression(), lambda rows: rows[["price", "visits"]], amounts, 1e-9),
    "linear over text": (encoded(SimpleImputer(), StandardScaler(), LinearRegression()), None, amounts, 1e-4),
    "logistic over text": (encoded(SimpleImputer(), StandardScaler(), LogisticRegression()), None, moods, 1e-5),
    "forest": (RandomForestRegressor(20, random_state=0), lambda rows: rows[["price", "visits"]], amounts, 1e-6),
    "forest over text": (encoded(SimpleImputer(), RandomForestClassifier(30, max_depth=5)), None, moods, 1e-5),
    "boosting with gaps": (boosted(), lambda rows: rows[NUMBERS], amounts, 1e-6),
    "boosting over text": (encoded(boosted()), None, amounts, 1e-6),
    "poisson": (boosted(loss="poisson"), lambda rows: rows[NUMBERS], positive, 1e-6),
    "gamma": (boosted(loss="gamma"), lambda rows: rows[NUMBERS], positive, 1e-6),
    "poisson with categories": (boosted(loss="poisson", **DAYS), weekdays, positive, 1e-6),
    "boosted classes": (encoded(HistGradientBoostingClassifier(max_iter=20)), None, moods, 1e-6),
    "boosted yes or no": (
        HistGradientBoostingClassifier(max_iter=20),
        lambda rows: rows[NUMBERS],
        lambda rows: amounts(rows) > 8,
        1e-6,
    ),
    "whole numbers as classes": (
        LogisticRegression(),
        lambda rows: rows[["price"]],
        lambda rows: (amounts(rows) > 8).astype(int) + 3,
        1e-9,
    ),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_export_answers_new_rows_as_the_estimator(tmp_path: Path, kind: str) -> None:
    estimator, inputs, target, within = ESTIMATORS[kind]
    inputs = inputs or (lambda rows: rows)
    rows, new = shop_rows(800), shop_rows(3000, seed=8)
    estimator.fit(inputs(rows), target(rows))
    export_onnx(estimator, tmp_path, "shop", inputs(rows))
    found = run_session(open_session(tmp_path / "shop" / "1" / "model.onnx"), inputs(new))
    expected = estimator.predict(inputs(new))
    assert found["predict"].shape == (3000, 1)
    if not hasattr(estimator, "classes_"):
        np.testing.assert_allclose(found["predict"][:, 0], expected, rtol=within, atol=within)
        return
    assert found["predict"].dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(found["predict"][:, 0], expected)
    np.testing.assert_allclose(found["predict_proba"], estimator.predict_proba(inputs(new)), rtol=0, atol=within)


def test_categories_that_training_never_saw_go_where_the_estimator_sends_them(tmp_path: Path) -> None:
    rows = weekdays(shop_rows(800))
    estimator = boosted(**DAYS).fit(rows, positive(shop_rows(800)))
    export_onnx(estimator, tmp_path, "shop", rows)
    new = weekdays(shop_rows(500, seed=8)).assign(weekday=np.resize([1.0, -3.5, 300.0, 40.0], 500))
    found = run_session(open_session(tmp_path / "shop" / "1" / "model.onnx"), new)["predict"][:, 0]
    np.testing.assert_allclose(found, estimator.predict(new), rtol=1e-6)


def test_the_repository_is_what_triton_reads(tmp_path: Path) -> None:
    rows = shop_rows(800)
    estimator = encoded(HistGradientBoostingClassifier(max_iter=5)).fit(rows, moods(rows))
    export_onnx(estimator, tmp_path, "mood", rows)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["mood/1/model.onnx", "mood/config.pbtxt"]
    assert (tmp_path / "mood" / "config.pbtxt").read_text() == (Path(__file__).with_name("config.pbtxt")).read_text()
    model = onnx.load(tmp_path / "mood" / "1" / "model.onnx")
    assert (model.ir_version, {one.domain: one.version for one in model.opset_import}) == (8, {"": 17, "ai.onnx.ml": 3})


EXPORT_ONE = """
import sys
from pathlib import Path
from harness.shops import moods, shop_rows
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from delivery.models.folder import model_digest
from delivery.models.onnx.export import export_onnx
rows = shop_rows(400)
towns = make_column_transformer((OneHotEncoder(sparse_output=False), ["town"]), remainder="passthrough")
fitted = make_pipeline(towns, HistGradientBoostingClassifier(max_iter=10, random_state=0)).fit(rows, moods(rows))
export_onnx(fitted, Path(sys.argv[1]), "mood", rows)
print(model_digest(Path(sys.argv[1])))
"""


def test_the_same_estimator_exported_in_two_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", EXPORT_ONE, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip().splitlines()[-1])
    assert len(digests) == 1 and model_digest(tmp_path / "1") in digests


class Own(RegressorMixin, BaseEstimator):
    """An estimator that nobody knows."""

    def fit(self, rows: Any, target: Any) -> "Own":
        self.mean_ = target.mean()
        return self

    def predict(self, rows: Any) -> np.ndarray:
        return np.full(len(rows), self.mean_)


MONDAY = pd.Timestamp("2020-01-06")
REFUSED: dict[str, tuple[Any, pd.DataFrame, str]] = {
    "unknown estimator": (Own(), pd.DataFrame({"x": [1.0, 2.0]}), "Own can't be exported to ONNX: .*shape calculator"),
    "moments": (Own(), pd.DataFrame({"day": [MONDAY, MONDAY]}), "column 'day' is of type datetime64"),
    "text with gaps": (Own(), pd.DataFrame({"town": ["Oslo", None]}), "'town' is text with gaps"),
    "other objects": (Own(), pd.DataFrame({"x": [[1], [2]]}), "'x' is of type object"),
    "name of an output": (Own(), pd.DataFrame({"predict": [1.0, 2.0]}), "'predict' has the name of an output"),
    "categories of text": (
        HistGradientBoostingRegressor(categorical_features=["town"], min_samples_leaf=1),
        pd.DataFrame({"town": pd.Categorical(["a", "b"])}),
        "'town' is of type category",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_exported_is_refused_with_the_reason_and_nothing_is_written(tmp_path: Path, kind: str) -> None:
    estimator, rows, said = REFUSED[kind]
    estimator.fit(rows, pd.Series([1.0, 2.0]))
    with pytest.raises(InputError, match=said):
        export_onnx(estimator, tmp_path, "shop", rows)
    assert not list(tmp_path.iterdir())


def test_an_export_that_answers_otherwise_is_refused_with_the_worst_row(tmp_path: Path) -> None:
    """ONNX has support vectors in float32 only, which can't tell these prices from each other."""
    rows = pd.DataFrame({"price": 1e9 + np.arange(300.0)})
    estimator = SVR(gamma=1e-3, C=100).fit(rows, pd.Series(np.sin(np.arange(300) / 20) * 50))
    with pytest.raises(
        OstinatoError, match=r"a difference of .* The worst is row \d+: .* instead of .*'price'"
    ) as told:
        export_onnx(estimator, tmp_path, "shop", rows)
    assert not isinstance(told.value, InputError)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_with_what_to_install() -> None:
    code = "from delivery.models.onnx.export import check_installed; check_installed()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert "InputError: the export to ONNX needs onnx and onnxruntime and skl2onnx" in done.stderr
    assert "pip install 'ostinato[triton]'" in done.stderr
