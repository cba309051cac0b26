"""Evidently's own gate for the demand forecaster: `evidently report ci/evidently/config.py:bikes FILE.predictions OUT
--test-summary`, which is also what Evidently's GitHub action calls.

A JSON configuration can't say which columns are target and prediction, so that quality metrics fail there; so this is
Python, and brings a reader for files that end in .predictions. Tests are one-sided: a better model never fails.
"""

import pandas as pd
from evidently import DataDefinition, Dataset, Regression
from evidently.cli.report import ReportConfig
from evidently.metrics import MAE, MissingValueCount, R2Score
from evidently.tests import eq, gte, lte


class Predictions(Dataset):
    """Reads CSV files of the columns target and prediction, and of what else there is."""

    @classmethod
    def _can_load(cls, uri: str) -> bool:
        return uri.endswith(".predictions")

    @classmethod
    def _load(cls, uri: str) -> Dataset:
        frame = pd.read_csv(uri, usecols=lambda name: name in ("target", "prediction"), dtype=float)
        definition = DataDefinition(
            numerical_columns=["target", "prediction"],
            regression=[Regression(target="target", prediction="prediction")],
        )
        return Dataset.from_pandas(frame, definition)


bikes = ReportConfig(
    metrics=[
        # Evidently leaves out rows without a prediction, and passes.
        MissingValueCount(column="prediction", tests=[eq(0)]),
        MissingValueCount(column="target", tests=[eq(0)]),
        MAE(mean_tests=[lte(90)], std_tests=[]),
        R2Score(tests=[gte(0.7)]),
    ]
)
