"""Throughput, latency and CPU time of the runtime `ostinato-mlflow`, a bare FastAPI app, and KServe's MLServer.

    python benchmarks/serving.py [--seconds 3] [--repeat 5] [--json FILE]

One-row requests of ten columns over REST, on connections that are kept, 1 and 16 at a time. The servers are fresh
processes with one worker and one OpenMP thread, side by side; they take turns, and ratios are of the same turn. The
load comes from this process and costs some 0.03 ms a request, so on few cores it takes its share.

- ours: V2, named columns checked against the signature, metrics, the digest in each answer.
- bare: FastAPI and uvicorn; a JSON object of columns becomes a DataFrame, unchecked, and a list comes back.
- MLServer, one tensor: V2, the columns as one tensor without names, its default.
- MLServer, named columns: V2, the request that ours gets, with MLServer's parameter `content_type: pd`.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from load import Load, load
from measure import machine, say, table, write_json
from served_model import KINDS, data, model_folder
from servers import Running, ask, bare_server, mlserver, mlserver_models, own_server, running

Sides = dict[str, tuple[Running, str, Any]]
"""Name of a side to server, path and body."""
UNNAMED = ("linear", "trees")
"""Models whose columns fit one tensor."""
CONCURRENCIES = (1, 16)
WARM_UP_S = 0.5
AT_LEAST = {"bare": 1 / 1.5, "MLServer, one tensor": 1.0, "MLServer, named columns": 1.0}
"""Ours to it, in requests a second."""
NOTES = """

CPU is user and system time of the server for one request; "ours to it" is the median over the turns of the ratio of
requests a second, and in brackets of CPU time. A model of numbers alone is asked with a matrix, by ours and by MLServer
with one tensor; the others ask with a DataFrame, which for scikit-learn is 0.25 ms of each request. `mixed` has a text
column, so it is always a DataFrame, and one tensor can't hold it. KServe's sklearnserver is no Python package that can
be installed, so it is not measured; MLServer has our versions of scikit-learn and NumPy."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        models = mlserver_models(Path(theirs), [*UNNAMED, *(f"{kind}-named" for kind in KINDS)])
        with mlserver(models) as stock:
            for kind in KINDS:
                folder = model_folder(Path(ours, kind), kind)
                found += measure(kind, folder, stock, given.seconds, given.repeat)
    head = ("model", "at a time", "server", "1/s", "p50 ms", "p99 ms", "CPU ms", "ours to it (CPU)", "at least", "met")
    print(table(head, [row for case in found for row in rows(case)]) + NOTES)
    if given.json:
        write_json(given.json, {"machine": machine(), "cases": found})


def measure(kind: str, folder: Path, stock: Running, seconds: float, repeat: int) -> list[dict[str, Any]]:
    """All servers side by side, one loaded at a time."""
    one = data(kind, 1).to_dict("list")
    named = {"inputs": [tensor(name, values) for name, values in one.items()]}
    told = {"parameters": {"content_type": "pd"}, "inputs": [told_text(one) for one in named["inputs"]]}
    with ExitStack() as stack:
        ours = stack.enter_context(running(own_server(folder, kind), f"/v2/models/{kind}/ready"))
        bare = stack.enter_context(running(bare_server(folder), "/ready"))
        sides: Sides = {"ours": (ours, f"/v2/models/{kind}/infer", named), "bare": (bare, "/predict", one)}
        if kind in UNNAMED:
            flat = tensor("x", [values[0] for values in one.values()], [1, len(one)])
            sides["MLServer, one tensor"] = (stock, f"/v2/models/{kind}/infer", {"inputs": [flat]})
        sides["MLServer, named columns"] = (stock, f"/v2/models/{kind}-named/infer", told)
        check_that_they_agree(sides)
        return [turns(kind, concurrency, sides, seconds, repeat) for concurrency in CONCURRENCIES]


def tensor(name: str, values: Sequence[Any], shape: Sequence[int] = (1,)) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(values[0], str) else "FP64"
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def told_text(one: dict[str, Any]) -> dict[str, Any]:
    """MLServer is told that bytes are text."""
    return {**one, "parameters": {"content_type": "str"}} if one["datatype"] == "BYTES" else one


def check_that_they_agree(sides: Sides) -> None:
    """Raises RuntimeError unless all servers predict the same, to the last digits."""
    found = {}
    for name, (server, path, request) in sides.items():
        answer = ask(server.port, path, request)
        found[name] = answer["predict"][0] if name == "bare" else answer["outputs"][0]["data"][0]
    if any(abs(one - found["ours"]) > 1e-9 * abs(one) for one in found.values()):
        raise RuntimeError(f"the servers predict differently: {found}")


def turns(kind: str, concurrency: int, sides: Sides, seconds: float, repeat: int) -> dict[str, Any]:
    found: dict[str, list[Load]] = {name: [] for name in sides}
    for turn in range(-1, repeat):
        for name, (server, path, request) in sides.items():
            body, length = json.dumps(request).encode(), seconds if turn >= 0 else WARM_UP_S
            once = load(server.port, server.pid, path, body, concurrency, length)
            if turn >= 0:
                found[name].append(once)
    for name, loads in found.items():
        say(f"{kind} {concurrency} {name}: {[f'{one.per_second:.0f}/s {one.cpu_ms:.2f} ms' for one in loads]}")
    figures = {name: [asdict(one) for one in loads] for name, loads in found.items()}
    return {"model": kind, "concurrency": concurrency, "sides": figures}


def rows(case: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    lines = []
    for name, loads in case["sides"].items():
        figures = {key: median(one[key] for one in loads) for key in loads[0]}
        line = [case["model"], str(case["concurrency"]), name, f"{figures['per_second']:.0f}"]
        line += [f"{figures['p50_ms']:.2f}", f"{figures['p99_ms']:.2f}", f"{figures['cpu_ms']:.2f}"]
        if name == "ours":
            lines.append([*line, "", "", ""])
            continue
        pairs = list(zip(case["sides"]["ours"], loads, strict=True))
        ratio = median(ours["per_second"] / other["per_second"] for ours, other in pairs)
        cpu = median(ours["cpu_ms"] / other["cpu_ms"] for ours, other in pairs)
        met = "yes" if ratio >= AT_LEAST[name] else "no"
        lines.append([*line, f"{ratio:.2f} ({cpu:.2f})", f"{AT_LEAST[name]:.2f}", met])
    return lines


if __name__ == "__main__":
    main()
