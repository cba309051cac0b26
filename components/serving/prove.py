"""Proof that a model is served as it was judged: the runtime answers rows, and agrees with the offline predictions."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.serving.client import ServedModel
from components.serving.process import serving
from training.spec import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE = 1e-9
"""Largest relative difference of a served number. Classes must be equal."""
CONCURRENCY = 4
CALLS = 200
WARM_UP = 20
SECONDS = 2.0
BATCH_ROWS = 500


@dataclass(frozen=True)
class Proof:
    """What the runtime did with the rows."""

    cold_start_s: float
    """From the start of the process to its first inference answered."""
    p50_ms: float
    p99_ms: float
    """Of one-row requests over REST, ``concurrency`` at a time."""
    concurrency: int
    calls: int
    """Requests that were timed."""
    agrees: bool
    worst_difference: float
    """Numbers: the largest relative difference. Classes: the share of the rows with another class."""
    rows: int


def prove_servable(model_folder: Path, name: str, rows: "pd.DataFrame", expected: "np.ndarray", task: Task) -> Proof:
    """Serve the folder in a fresh process, ask for every row in batches of 500, compare, and time one-row requests.

    rows: (n, inputs), n at least 1. expected: the offline predictions (n,), float64 or class labels. Latency is of
    up to 200 requests in at most 2 s, 4 connections at a time, after 20 to warm up. Raises OstinatoError when the
    model can't be served at all: it does not start, or refuses rows.
    """
    import numpy as np

    assert len(rows) == len(expected) > 0, f"{len(rows)} rows, {len(expected)} predictions"
    with serving(model_folder, name, rows) as served:
        model = ServedModel(served.url, name)
        found = [model.infer(rows.iloc[at : at + BATCH_ROWS]) for at in range(0, len(rows), BATCH_ROWS)]
        times = time_requests(served.url, name, rows, CONCURRENCY)
    worst = difference(np.concatenate(found), expected, task)
    return Proof(
        cold_start_s=served.cold_start_s,
        p50_ms=float(np.quantile(times, 0.5)),
        p99_ms=float(np.quantile(times, 0.99)),
        concurrency=CONCURRENCY,
        calls=len(times),
        agrees=worst <= (TOLERANCE if task == "regression" else 0),
        worst_difference=worst,
        rows=len(rows),
    )


def difference(found: "np.ndarray", expected: "np.ndarray", task: Task) -> float:
    """How far served (n,) is from expected (n,).

    Classification: the share of the rows with another class. Regression: the largest |served - expected| relative to
    |expected|, or to a millionth of the largest |expected| where that is more, so that rounding next to zero counts
    for what it is; infinite where one is not finite.
    """
    import numpy as np

    if found.shape != expected.shape:
        return float("inf")
    if task == "classification":
        return sum(one != other for one, other in zip(found.tolist(), expected.tolist(), strict=True)) / len(expected)
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return float("inf")
    size = np.abs(expected)
    apart = np.abs(found - expected)
    scale = np.maximum(size, size.max() * 1e-6)
    return float(np.divide(apart, scale, out=np.where(apart > 0, np.inf, 0.0), where=scale > 0).max())


def time_requests(url: str, name: str, rows: "pd.DataFrame", concurrency: int) -> list[float]:
    """Milliseconds of one-row requests, each connection in a thread of its own that asks again as it is answered."""
    model = ServedModel(url, name)
    bodies = [model.request(rows.iloc[[at]]) for at in range(min(len(rows), 50))]
    for at in range(WARM_UP):
        model.send(bodies[at % len(bodies)])
    end = time.perf_counter() + SECONDS

    def ask(calls: int) -> Sequence[float]:
        return _timed(ServedModel(url, name), bodies, calls, end)

    with ThreadPoolExecutor(concurrency) as threads:
        found = threads.map(ask, [CALLS // concurrency] * concurrency)
        return [one for part in found for one in part]


def _timed(model: ServedModel, bodies: Sequence[dict[str, Any]], calls: int, end: float) -> list[float]:
    """At least one request, then until ``calls`` or the moment ``end``."""
    times: list[float] = []
    while not times or (len(times) < calls and time.perf_counter() < end):
        began = time.perf_counter()
        model.send(bodies[len(times) % len(bodies)])
        times.append((time.perf_counter() - began) * 1000)
    return times
