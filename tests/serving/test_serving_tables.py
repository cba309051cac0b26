"""A model is asked with a matrix only where that gives the very same answers as a DataFrame, without a warning."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import all_estimators

from delivery.models.folder import Predictor
from delivery.serving.server.signature import Column
from delivery.serving.server.tables import frame, matrix, table_maker

COLUMNS = (Column("price", "double", True), Column("visits", "long", True), Column("weight", "float", True))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    values = {"price": random.normal(size=60), "visits": random.integers(0, 9, 60)}
    return pd.DataFrame({**values, "weight": random.random(60).astype("float32")})


def amounts(rows: pd.DataFrame) -> pd.Series:
    return rows["price"].abs() + rows["visits"] + 0.1


def many_models(rows: pd.DataFrame) -> dict[str, Any]:
    """Every regressor and classifier of scikit-learn that can be fitted on these rows as it is."""
    fitted = {}
    for kind, target in (("regressor", amounts(rows)), ("classifier", amounts(rows) > 5)):
        for name, model in all_estimators(type_filter=kind):
            try:
                fitted[name] = model().fit(rows, target)
            except (TypeError, ValueError):  # needs an argument, or rows of another kind
                continue
    for model in (LinearRegression(), LogisticRegression(), HistGradientBoostingRegressor()):
        fitted[f"scaled {type(model).__name__}"] = make_pipeline(StandardScaler(), model).fit(rows, rows["visits"])
    return fitted


@pytest.mark.filterwarnings("ignore")
def test_a_matrix_gives_the_answers_of_a_dataframe_to_the_last_bit(rows: pd.DataFrame) -> None:
    asked_with_a_matrix = 0
    for name, model in many_models(rows).items():
        offline = Predictor(model, list(rows), {})
        served, table = table_maker(offline, COLUMNS)
        asked_with_a_matrix += table is matrix
        for some in (rows, rows.head(1)):
            given = table({column: some[column].to_numpy() for column in some})
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                np.testing.assert_array_equal(served.predict(given), offline.predict(some), name)
                np.testing.assert_array_equal(served.predict_proba(given), offline.predict_proba(some), name)
    assert asked_with_a_matrix >= 60


def test_trees_with_categories_keep_the_names_for_the_encoder_inside(rows: pd.DataFrame) -> None:
    model = HistGradientBoostingRegressor(categorical_features=["visits"], max_iter=5)
    some = rows.assign(visits=rows["visits"] % 5)
    _, table = table_maker(Predictor(model.fit(some, amounts(some)), list(rows), {}), COLUMNS)
    assert table is not matrix


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(make_column_transformer((StandardScaler(), ["price"])), LinearRegression()),
        make_pipeline(StandardScaler().set_output(transform="pandas"), LinearRegression()),
        make_pipeline(FunctionTransformer(), LinearRegression()),
        make_pipeline("passthrough", LinearRegression()),
        GridSearchCV(make_pipeline(FunctionTransformer(), LinearRegression()), {}),
    ],
    ids=lambda model: str(model)[:40],
)
def test_a_model_that_may_look_at_names_gets_the_dataframe(rows: pd.DataFrame, model: Any) -> None:
    offline = Predictor(model.fit(rows, amounts(rows)), list(rows), {})
    served, table = table_maker(offline, COLUMNS)
    assert (served, table) == (offline, frame)


def test_columns_that_are_not_all_numbers_are_a_dataframe(rows: pd.DataFrame) -> None:
    offline = Predictor(LinearRegression().fit(rows, amounts(rows)), list(rows), {})
    assert table_maker(offline, COLUMNS)[1] is matrix
    assert table_maker(offline, (*COLUMNS[:2], Column("weight", "boolean", True)))[1] is frame
