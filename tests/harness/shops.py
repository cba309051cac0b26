"""A small table with every type that a signature may have, and models fitted on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from delivery.models.folder import save_model

TOWNS = ("Köln", "Oslo", "Zürich")
COLUMNS = {"price": "FP64", "rain": "FP64", "weight": "FP32", "visits": "INT64", "open": "BOOL", "town": "BYTES"}


def shop_rows(count: int, seed: int = 7) -> pd.DataFrame:
    """price required, rain with gaps, weight float32, visits whole, open true or false, town text."""
    random = np.random.default_rng(seed)
    rain = random.gamma(2, 3, count)
    rain[random.random(count) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "price": random.normal(10, 3, count),
            "rain": rain,
            "weight": random.random(count).astype("float32"),
            "visits": random.integers(0, 500, count),
            "open": random.random(count) < 0.7,
            "town": random.choice(TOWNS, count).astype(object),
        }
    )


def amounts(rows: pd.DataFrame) -> pd.Series:
    noise = np.random.default_rng(1).normal(0, 1, len(rows))
    return rows["price"] * rows["open"] + rows["visits"] / 50 + rows["rain"].fillna(0) / 7 + noise


def moods(rows: pd.DataFrame) -> pd.Series:
    return pd.cut(amounts(rows), [-np.inf, 8, 16, np.inf], labels=["müde", "good", "great"]).astype(str)


def towns_first(rows: pd.DataFrame, target: Any, model: Any = None) -> tuple[Any, list[str]]:
    """A fitted pipeline that knows three towns, and the types that skops must trust for it."""
    if model is None:
        kind = HistGradientBoostingRegressor if target.dtype.kind == "f" else HistGradientBoostingClassifier
        model = kind(max_iter=30, random_state=0)
    towns = make_column_transformer((OneHotEncoder(sparse_output=False), ["town"]), remainder="passthrough")
    fitted = make_pipeline(towns, model).fit(rows, target)
    return fitted, skops.io.get_untrusted_types(data=skops.io.dumps(fitted))


def fit_and_save(folder: Path, rows: pd.DataFrame, target: Any, model: Any = None) -> Path:
    """A pipeline that knows three towns, saved as a model folder."""
    fitted, trusted = towns_first(rows, target, model)
    save_model(fitted, folder, rows, trusted, {})
    return folder


def body_of(rows: pd.DataFrame) -> dict[str, Any]:
    """A V2 request written out by hand, so that the client's own is not tested against itself."""
    gaps = rows.astype(object).where(rows.notna(), None)
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [len(rows)], "data": gaps[name].tolist()}
            for name, datatype in COLUMNS.items()
        ]
    }
