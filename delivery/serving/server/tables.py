"""Checked columns become what the estimator is asked with: a DataFrame, or where it may be, a matrix.

scikit-learn takes 0.25 ms to look through a DataFrame of one row, several times what a small model takes to predict. An
estimator without others inside makes a matrix of it before it does anything else, so it is given that matrix: the same
values in the same type and memory layout. The same goes for a pipeline that begins with one. What chooses columns by
name, such as a column transformer, gets the DataFrame.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from delivery.models.folder import Predictor
from delivery.serving.server.signature import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NUMBERS = {"integer", "long", "float", "double"}
"""MLflow's types that scikit-learn joins to one type as NumPy does. Others, such as boolean, it treats otherwise."""

INNER = {"estimator", "regressor"}
"""Parameters that are estimators, or None for one that scikit-learn chooses."""


def table_maker(
    predictor: Predictor, columns: Sequence[Column]
) -> "tuple[Predictor, Callable[[Mapping[str, np.ndarray]], Any]]":
    """What to ask, and what makes its table of columns (n,) each in the order of the signature."""
    nameless = _without_names(predictor._estimator)
    if nameless is None or not {column.type for column in columns} <= NUMBERS:
        return predictor, frame
    return _OfMatrices(nameless, predictor.inputs, predictor.facts), matrix


def frame(arrays: "Mapping[str, np.ndarray]") -> "pd.DataFrame":
    """(n, columns), each column of its own type."""
    import pandas as pd

    return pd.DataFrame(arrays)


def matrix(arrays: "Mapping[str, np.ndarray]") -> "np.ndarray":
    """(n, columns) of the type that holds all columns, column by column in memory as DataFrame.to_numpy has it."""
    import numpy as np

    values = list(arrays.values())
    return np.array(values, dtype=np.result_type(*values)).T


class _OfMatrices(Predictor):
    def _select(self, rows: Any) -> Any:
        return rows


def _without_names(estimator: Any) -> Any:
    """A copy that shares everything but the names of its columns, for which it would warn; None if it may need them."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    nameless = copy.copy(estimator)
    if type(estimator) is Pipeline:
        (name, first), *others = estimator.steps
        nameless.steps = [(name, _without_names(first)), *others]
        return None if nameless.steps[0][1] is None else nameless
    own = type(estimator).__module__.startswith("sklearn.") and not isinstance(estimator, FunctionTransformer)
    if not own or hasattr(estimator, "_sklearn_output_config"):  # a step that was told to make DataFrames
        return None
    if any(hasattr(part, "feature_names_in_") for part in vars(estimator).values()):  # it asks others with the names
        return None
    given = estimator.get_params(deep=False).keys()
    if INNER & given or estimator.get_params(deep=True).keys() != given:  # it may hand the DataFrame on
        return None
    vars(nameless).pop("feature_names_in_", None)
    return nameless
