"""How the answers of two served models differ, over the same rows: the live one, and its shadow."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.serving.clients.predict import ServedModel
from training.errors import InputError, OstinatoError
from training.spec import TASKS, Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BATCH_ROWS = 500


@dataclass(frozen=True)
class Distribution:
    """Of one model's numbers."""

    count: int
    mean: float
    std: float
    """Of the population."""
    q01: float
    q50: float
    q99: float


@dataclass(frozen=True)
class NumberComparison:
    """Two regressors. Differences are shadow minus live."""

    rows: int
    live: Distribution
    shadow: Distribution
    mean_difference: float
    largest_difference: float
    """The one with the largest absolute value."""
    share_equal: float
    correlation: float | None
    """Pearson's; None where one of the two answers the same for every row."""


@dataclass(frozen=True)
class ClassComparison:
    """Two classifiers."""

    rows: int
    classes: tuple[str, ...]
    """All that either answered, sorted."""
    live: dict[str, float]
    """Share of the rows by class."""
    shadow: dict[str, float]
    agreement: float
    """Share of the rows with the same class."""
    confusion: dict[str, dict[str, int]]
    """Rows by the live model's class, then the shadow's."""


def check_comparable(name: str, task: Task) -> None:
    """Raises InputError for answers that are neither numbers nor classes."""
    if TASKS[task].is_language_model:
        raise InputError(
            f"--compare knows numbers and classes, and {name} answers with text; texts are compared by the verdict, on "
            "the test questions and by the judge of quality.judge"
        )


def compare_served(
    url: str, shadow_url: str, name: str, rows: "pd.DataFrame", task: Task, protocol: str = "v2"
) -> NumberComparison | ClassComparison:
    """Ask both servers for the rows (n, columns), n at least 1, and compare what they answer.

    Raises what :class:`ServedModel` raises, and OstinatoError for numbers that are not finite.
    """
    live, shadow = (_ask(address, name, rows, protocol) for address in (url, shadow_url))
    if len(live) != len(shadow):
        raise OstinatoError(f"{url} answered {len(live)} rows and {shadow_url} {len(shadow)}, of {len(rows)}")
    if TASKS[task].answers == "classes":
        return compare_classes([str(answer) for answer in live.tolist()], [str(answer) for answer in shadow.tolist()])
    return compare_numbers(live, shadow)


def compare_numbers(live: "np.ndarray", shadow: "np.ndarray") -> NumberComparison:
    """Statistics of two float64 arrays (n,), n at least 1. Raises OstinatoError for NaN or an infinite number."""
    import numpy as np

    for who, answers in (("live model", live), ("shadow", shadow)):
        finite = np.isfinite(answers)
        if not finite.all():
            row = int(finite.argmin())
            raise OstinatoError(f"the {who} answered {answers[row]} for row {row}, which is no finite number")
    apart = shadow - live
    constant = live.std() == 0 or shadow.std() == 0
    return NumberComparison(
        rows=len(live),
        live=_summary(live),
        shadow=_summary(shadow),
        mean_difference=float(apart.mean()),
        largest_difference=float(apart[np.abs(apart).argmax()]),
        share_equal=float((apart == 0).mean()),
        correlation=None if constant else float(np.corrcoef(live, shadow)[0, 1]),
    )


def compare_classes(live: list[str], shadow: list[str]) -> ClassComparison:
    """Shares, agreement and confusion of two lists of class labels, one a row."""
    classes = tuple(sorted({*live, *shadow}))
    confusion = {name: dict.fromkeys(classes, 0) for name in classes}
    for answer, other in zip(live, shadow, strict=True):
        confusion[answer][other] += 1
    rows = len(live)
    return ClassComparison(
        rows=rows,
        classes=classes,
        live={answer: live.count(answer) / rows for answer in classes},
        shadow={answer: shadow.count(answer) / rows for answer in classes},
        agreement=sum(confusion[answer][answer] for answer in classes) / rows,
        confusion=confusion,
    )


def _ask(url: str, name: str, rows: "pd.DataFrame", protocol: str) -> "np.ndarray":
    import numpy as np

    model = ServedModel(url, name, protocol=protocol)
    try:
        return np.concatenate([model.infer(rows.iloc[at : at + BATCH_ROWS]) for at in range(0, len(rows), BATCH_ROWS)])
    finally:
        model.close()


def _summary(answers: "np.ndarray") -> Distribution:
    import numpy as np

    q01, q50, q99 = (float(quantile) for quantile in np.quantile(answers, (0.01, 0.5, 0.99)))
    return Distribution(len(answers), float(answers.mean()), float(answers.std()), q01, q50, q99)
