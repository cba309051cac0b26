"""How long one prediction takes."""

import time
from typing import TYPE_CHECKING

from components.evaluate.contenders import Model

if TYPE_CHECKING:
    import pandas as pd

WARM_UP = 20
CALLS = 200
SECONDS = 1.0


def p99_ms(model: Model, rows: "pd.DataFrame") -> tuple[float, int]:
    """99th percentile of the milliseconds of a one-row prediction, and the calls that were timed.

    20 calls warm up; then up to 200 calls in at most 1 s (never fewer than 20), over the rows in turn. One thread
    only: more do not help one row, and on a busy machine they wait for each other.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    singles = [rows.iloc[[i]] for i in range(min(len(rows), 100))]
    times: list[float] = []
    with threadpool_limits(1):
        for i in range(WARM_UP):
            model.predictor.predict(singles[i % len(singles)])
        end = time.perf_counter() + SECONDS
        while len(times) < CALLS and (len(times) < WARM_UP or time.perf_counter() < end):
            started = time.perf_counter()
            model.predictor.predict(singles[len(times) % len(singles)])
            times.append((time.perf_counter() - started) * 1000)
    return float(np.quantile(times, 0.99)), len(times)
