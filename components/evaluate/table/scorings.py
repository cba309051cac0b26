"""How a table's task is scored: a row a task."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.evaluate.shared.bootstrap import Groups, Sums
from components.evaluate.table.metrics import (
    Actual,
    Prediction,
    classification_metrics,
    classification_sums,
    regression_metrics,
    regression_sums,
)
from training.spec import Task


@dataclass(frozen=True)
class Scoring:
    """Names and meaning of metrics follow scikit-learn's ``sklearn.metrics``
    (https://scikit-learn.org/stable/modules/model_evaluation.html) unless said otherwise:

    - ``mae`` = Σ|e|/n, ``rmse`` = √(Σe²/n), ``bias`` = Σe/n with e = predicted - actual, in the target's unit;
    - ``r2`` = 1 - Σe² / Σ(y - mean y)²;
    - ``mape`` = mean of \\|e/y\\| as a fraction, over the rows whose actual value is not zero (scikit-learn divides by
      2e-16 there, which drowns the rest);
    - ``precision``, ``recall``, ``f1``: of the positive class when there are two classes (the one that sorts last:
      1, True, "yes"), else the macro average over the classes that occur in the actual or the predicted labels;
      0 where the divisor is 0;
    - ``balanced_accuracy`` = mean recall over the classes that occur in the actual labels;
    - ``log_loss`` = mean of -log p(actual class), p clipped to [2.2e-16, 1 - 2.2e-16];
    - ``brier`` = mean of Σ(p - [actual])² over the classes, halved for two classes (Brier 1950).

    ROC AUC is in :mod:`components.evaluate.table.roc`.
    """

    sums: Callable[[Actual, Prediction, Groups], Sums]
    """Of each group, what the metrics need: (groups,) or (groups, classes) each."""
    metrics: Callable[[Sums], dict[str, np.ndarray]]
    """Each metric for each group of the sums, (groups,)."""


SCORINGS: dict[Task, Scoring] = {
    "regression": Scoring(regression_sums, regression_metrics),
    "classification": Scoring(classification_sums, classification_metrics),
}


def metric_sums(actual: Actual, prediction: Prediction, groups: Groups) -> Sums:
    return SCORINGS[actual.task].sums(actual, prediction, groups)


def metrics_of(task: Task, sums: Sums) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return SCORINGS[task].metrics(sums)
