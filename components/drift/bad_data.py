"""What is wrong with the rows of a window, so that a difference from the training data is no drift.

Rows that break the contract are counted where they are read. Here is what each row for itself does not tell: a column
that does not move, one that is missing, one in another unit.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from components.drift.scores import NUMBERS, Baseline, Score
from components.drift.unit_mistakes import conversions
from components.drift.windows import Window

STUCK = 0.9
"""Share of a window's numbers that are equal, from which they do not move, unless the training data knows it so."""
MORE_MISSING = 0.2
"""Share of values that are missing beyond what any window of the training data has."""
FAR = 2.0
"""Times the threshold: a score from which another unit is looked for."""
ALIKE = 2.5
"""Times the standard deviation of the training rows, or a part of it, that values in the right unit have at most."""


def problem_of(
    baseline: Baseline,
    window: Window,
    values: Mapping[str, np.ndarray],
    scores: Mapping[str, Score],
    units: Mapping[str, str],
) -> str:
    """What is wrong with a window's columns in one sentence, "" for nothing. values: of each compared column, (n,)."""
    problems = []
    for name, method in baseline.methods.items():
        problem = _missing(baseline, name, values[name])
        if not problem and method == NUMBERS:
            problem = _stuck(baseline, name, values[name])
            if not problem and name in scores:
                problem = _unit(baseline, window, scores[name], values[name], units.get(name, ""))
        if problem:
            problems.append(f"{name} {problem}")
    return "; ".join(problems)


def _missing(baseline: Baseline, name: str, values: np.ndarray) -> str:
    usual = max(
        (_gaps(baseline.values[name][inside]) for inside, _ in baseline.own), default=_gaps(baseline.values[name])
    )
    gaps = _gaps(values)
    if gaps > usual + MORE_MISSING:
        return f"is missing in {gaps:.0%} of the rows, in the training data's windows in {usual:.0%} at most"
    return ""


def _stuck(baseline: Baseline, name: str, values: np.ndarray) -> str:
    equal, value = _equal(values)
    if equal < STUCK:
        return ""
    whole = baseline.values[name]
    usual = max((_equal(whole[inside])[0] for inside, _ in baseline.own), default=_equal(whole)[0])
    return f"is stuck: {equal:.0%} of the values are {value:g}" if equal > usual else ""


def _unit(baseline: Baseline, window: Window, score: Score, values: np.ndarray, unit: str) -> str:
    """In which other unit the values would be as in the training data."""
    if score.score < FAR * score.threshold:
        return ""
    usual = _spread(baseline.values[score.column][baseline.rows_compared(window)])
    for conversion in conversions(unit):
        meant = conversion.factor * (values - conversion.offset)
        # Division by a hundred brings everything next to zero: what is small is not alike.
        if not usual / ALIKE <= _spread(meant) <= usual * ALIKE:
            continue
        converted = baseline.score(score.column, window, meant)
        if converted is not None and converted < score.threshold:
            return f"looks like {conversion.given}" + (f" where {unit} is wanted" if unit else " of what it should be")
    return ""


def _spread(values: np.ndarray) -> float:
    return float(np.nanstd(values))


def _gaps(values: np.ndarray) -> float:
    """Share of missing values."""
    return float(pd.isna(values).mean()) if len(values) else 0.0


def _equal(values: np.ndarray) -> tuple[float, float]:
    """Share of the most frequent number among those that are there, and the number; (0, 0) without any."""
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if not len(known):
        return 0.0, 0.0
    return float(counts.max() / counts.sum()), float(known[counts.argmax()])
