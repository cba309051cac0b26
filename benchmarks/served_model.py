"""The models that serving.py has served, and one row for them. Needs scikit-learn, pandas and joblib only.

    python benchmarks/served_model.py FOLDER linear linear-named …

writes FOLDER/linear/model.joblib for MLServer, in MLServer's environment: the same estimator from the same data and
seed, fitted on an array, so that it may be asked with one tensor, or where its name says so on a DataFrame.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("linear", "trees", "mixed")
"""A model that takes next to no time, so that the server is what is measured; 100 boosted trees; a text column through
a one-hot encoder, and numbers, into a linear model."""
COLUMNS = 10
TOWNS = ("Cologne", "Oslo", "Zurich")


def data(kind: str, count: int = 5000) -> "pd.DataFrame":
    """Ten columns; of ``mixed`` the last is text."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    rows = pd.DataFrame({f"column_{i}": random.normal(size=count) for i in range(COLUMNS)})
    if kind == "mixed":
        rows[f"column_{COLUMNS - 1}"] = random.choice(TOWNS, count).astype(object)
    return rows


def fitted(kind: str, rows: "pd.DataFrame", named: bool = True) -> Any:
    """The estimator, on a DataFrame or on an array without names."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    model: Any = LinearRegression()
    if kind == "trees":
        model = HistGradientBoostingRegressor(max_iter=100, random_state=0)
    if kind == "mixed":
        towns = (OneHotEncoder(sparse_output=False), [f"column_{COLUMNS - 1}"])
        model = make_pipeline(make_column_transformer(towns, remainder="passthrough"), model)
    target = rows.select_dtypes("number").sum(axis=1)
    return model.fit(rows if named else rows.to_numpy(), target)


def model_folder(folder: Path, kind: str) -> Path:
    """As training saves it."""
    import skops.io

    from delivery.models.folder import save_model

    rows = data(kind)
    model = fitted(kind, rows)
    save_model(model, folder, rows, skops.io.get_untrusted_types(data=skops.io.dumps(model)), {})
    return folder


def main() -> None:
    import joblib

    for name in sys.argv[2:]:
        kind, _, named = name.partition("-")
        folder = Path(sys.argv[1], name)
        folder.mkdir()
        joblib.dump(fitted(kind, data(kind), bool(named)), folder / "model.joblib")


if __name__ == "__main__":
    main()
