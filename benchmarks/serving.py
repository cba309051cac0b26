"""Throughput and latency of the runtime `ostinato-mlflow` against the same model behind a bare FastAPI app.

    python benchmarks/serving.py [--seconds 3] [--repeat 3] [--json FILE]

One-row requests of ten columns over REST, on connections that are kept, 1 and 16 at a time. Both servers are fresh
processes with one worker and one OpenMP thread; the load comes from this process, so on few cores it takes its share.

- ours: V2, named columns checked against the signature, metrics.
- bare: FastAPI and uvicorn; a JSON object of columns becomes a DataFrame, unchecked, and a list comes back.

linear: a model that takes next to no time, so the server is what is measured. trees: 100 boosted trees.
Medians over the repeats, which alternate. Prints Markdown rows.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import machine, say, table, write_json

CONCURRENCIES = (1, 16)
COLUMNS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--bare", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bare(Path(given.bare[0]), int(given.bare[1]))
        return
    cases = []
    with tempfile.TemporaryDirectory() as root:
        for kind in ("linear", "trees"):
            folder = make_model(Path(root) / kind, kind)
            cases += measure(kind, folder, given.seconds, given.repeat)
    print(
        table(("model", "at a time", "ours 1/s", "bare 1/s", "bare / ours", "ours p99 ms", "bare p99 ms"), rows(cases))
    )
    if given.json:
        write_json(given.json, {"machine": machine(), "cases": cases})


def measure(kind: str, folder: Path, seconds: float, repeat: int) -> list[dict[str, Any]]:
    """Both servers side by side, one loaded at a time."""
    from components.serving.process import serving

    one = sample(1)
    ours = {"inputs": [{"name": n, "datatype": "FP64", "shape": [1], "data": v} for n, v in one.items()]}
    with serving(folder, kind) as served, bare_server(folder) as port:
        sides = {
            "ours": (int(served.url.rpartition(":")[2]), f"/v2/models/{kind}/infer", json.dumps(ours).encode()),
            "bare": (port, "/predict", json.dumps(one).encode()),
        }
        found = []
        for concurrency in CONCURRENCIES:
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
            for _ in range(repeat):
                for name, side in sides.items():
                    runs[name].append(load(*side, concurrency, seconds))
            case: dict[str, Any] = {"model": kind, "concurrency": concurrency, "cold_start_s": served.cold_start_s}
            for name, figures in runs.items():
                case[name] = {
                    "per_second": statistics.median(one[0] for one in figures),
                    "p99_ms": statistics.median(one[1] for one in figures),
                }
            say(json.dumps(case))
            found.append(case)
    return found


def load(port: int, path: str, body: bytes, concurrency: int, seconds: float) -> tuple[float, float]:
    """Requests a second and the 99th percentile in ms."""
    end = time.perf_counter() + seconds

    def ask(_: int) -> list[float]:
        connection, times = http.client.HTTPConnection("127.0.0.1", port), []
        while (began := time.perf_counter()) < end:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{path} answered {response.status}: {content[:300]!r}")
            times.append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(concurrency) as threads:
        times = [one for part in threads.map(ask, range(concurrency)) for one in part]
    return len(times) / seconds, statistics.quantiles(times, n=100)[98] * 1000


def sample(count: int) -> dict[str, list[float]]:
    import numpy as np

    random = np.random.default_rng(0)
    return {f"column_{i}": random.normal(size=count).tolist() for i in range(COLUMNS)}


def make_model(folder: Path, kind: str) -> Path:
    import pandas as pd
    import skops.io
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    from components.train.model_folder import save_model

    data = pd.DataFrame(sample(5000))
    model = LinearRegression() if kind == "linear" else HistGradientBoostingRegressor(max_iter=100, random_state=0)
    model.fit(data, data.sum(axis=1))
    save_model(model, folder, data, skops.io.get_untrusted_types(data=skops.io.dumps(model)), {})
    return folder


@contextmanager
def bare_server(folder: Path) -> Iterator[int]:
    """The bare app in a process of its own; yields its port when it answers."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, __file__, "--bare", str(folder), str(port)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the bare server did not start") from error
        yield port
    finally:
        process.kill()
        process.wait()


def bare(folder: Path, port: int) -> None:
    """What one would write without KServe."""
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI

    from components.train.model_folder import load_model

    app, predictor = FastAPI(), load_model(folder)

    @app.post("/predict")
    async def predict(columns: dict[str, list[float]]) -> dict[str, list[float]]:
        return {"predict": predictor.predict(pd.DataFrame(columns)).tolist()}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def rows(cases: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            case["model"],
            str(case["concurrency"]),
            *(f"{case[name]['per_second']:.0f}" for name in ("ours", "bare")),
            f"{case['bare']['per_second'] / case['ours']['per_second']:.2f}",
            *(f"{case[name]['p99_ms']:.1f}" for name in ("ours", "bare")),
        ]
        for case in cases
    ]


if __name__ == "__main__":
    main()
