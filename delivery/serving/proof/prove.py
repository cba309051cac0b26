"""Proof that a model is served as it was judged: the runtime answers rows, and agrees with the offline predictions."""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.documents.sample import Sample, difference
from delivery.documents.verdict import Latency, ServingProof
from delivery.serving.clients.chat import ChatModel
from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import RunningServer, serving
from delivery.serving.proof.behaviours import try_behaviours
from delivery.serving.proof.prove_chat import compare_texts, sampling_of, time_streams
from training.errors import OstinatoError
from training.spec import TASKS, ServingSpec

if TYPE_CHECKING:
    import pandas as pd

CALLS = 200
WARM_UP = 20
SECONDS = 2.0
BATCH_ROWS = 500


def prove(folder: Path, sample: Sample, serving_spec: ServingSpec, concurrencies: Sequence[int]) -> ServingProof:
    """Serve the folder in a fresh process, ask for every row of the sample, compare, and time one-row requests.

    The answer tells of a failure instead of raising it: that the model can't be served is evidence too. Latency is of
    up to 200 requests in at most 2 s for each of ``concurrencies``, after 20 to warm up. A language model is asked over
    OpenAI's protocol, whose promises are tried, and its streamed answers are timed, one at a time.
    """
    runtime, protocol = serving_spec.runtime, serving_spec.protocol
    common: dict[str, Any] = {"runtime": runtime, "protocol": protocol, "rows": len(sample.expected)}
    common |= {
        "tolerance": sample.tolerance,
        "sample_digest": sample.digest(),
        "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }
    facts: dict[str, Any] = {}
    try:
        with serving(folder, sample.model, _first(sample), runtime, protocol, engine=serving_spec.engine) as served:
            facts |= {"ran": served.ran, "cold_start_s": served.cold_start_s}
            if protocol == "openai":
                facts |= _prove_chat(served, sample)
            else:
                facts |= _prove_rows(served, sample, protocol, concurrencies)
    except OstinatoError as error:
        return ServingProof(**common, ran="", worst_difference=None, failure=str(error))
    worst = facts.pop("worst")
    if not math.isfinite(worst):
        facts |= {"failure": "it answers with too few values, or with one that is no finite number"}
    return ServingProof(**common, **facts, worst_difference=worst if math.isfinite(worst) else None)


def _first(sample: Sample) -> Any:
    """The first row, or the first question."""
    return sample.prompts[0] if TASKS[sample.task].is_language_model else sample.rows.head(1)


def _prove_rows(served: RunningServer, sample: Sample, protocol: str, concurrencies: Sequence[int]) -> dict[str, Any]:
    worst = compare(ServedModel(served.url, sample.model, protocol=protocol), sample)
    timed = [time_requests(served.url, sample.model, protocol, sample.rows, many) for many in concurrencies]
    return {"worst": worst, "latency": tuple(timed)}


def _prove_chat(served: RunningServer, sample: Sample) -> dict[str, Any]:
    """The promises first: where one is broken, answers that can't be had are not asked for."""
    model, sampling = ChatModel(served.openai, sample.model), sampling_of(sample)
    behaviours = try_behaviours(model, sample.prompts, sampling, served.faults)
    worst = compare_texts(model, sample)
    broken = {behaviour.name for behaviour in behaviours if not behaviour.held}
    streaming = None if "streaming" in broken else time_streams(model, sample.prompts, sampling)
    return {"worst": worst, "behaviours": behaviours, "streaming": streaming}


def compare(model: ServedModel, sample: Sample) -> float:
    """How far the served answers are from the sample's, by :func:`difference`. Raises what ServedModel raises."""
    import numpy as np

    rows = sample.rows
    batches = [model.infer(rows.iloc[at : at + BATCH_ROWS]) for at in range(0, len(rows), BATCH_ROWS)]
    return difference(np.concatenate(batches), sample.answers, sample.task)


def time_requests(url: str, name: str, protocol: str, rows: "pd.DataFrame", concurrency: int) -> Latency:
    """Of one-row requests, each connection in a thread of its own that asks again as it is answered."""
    import numpy as np

    model = ServedModel(url, name, protocol=protocol)
    bodies = [model.request(rows.iloc[[at]]) for at in range(min(len(rows), 50))]
    for at in range(WARM_UP):
        model.send(bodies[at % len(bodies)])
    end = time.perf_counter() + SECONDS

    def ask(calls: int) -> Sequence[float]:
        return _timed(ServedModel(url, name, protocol=protocol), bodies, calls, end)

    with ThreadPoolExecutor(concurrency) as threads:
        parts = threads.map(ask, [max(1, CALLS // concurrency)] * concurrency)
        times = [seconds for part in parts for seconds in part]
    return Latency(
        concurrency=concurrency,
        p50_ms=float(np.quantile(times, 0.5)),
        p99_ms=float(np.quantile(times, 0.99)),
        calls=len(times),
    )


def _timed(model: ServedModel, bodies: Sequence[dict[str, Any]], calls: int, end: float) -> list[float]:
    """At least one request, then until ``calls`` or the moment ``end``."""
    times: list[float] = []
    while not times or (len(times) < calls and time.perf_counter() < end):
        began = time.perf_counter()
        model.send(bodies[len(times) % len(bodies)])
        times.append((time.perf_counter() - began) * 1000)
    return times
