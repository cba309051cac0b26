"""Where the time of a cold start of the runtime `ostinato-mlflow` goes, from the process to the first answer.

    python benchmarks/cold_start.py [--repeat 5] [--json FILE]

The parts are of a process that does what the server does, in its order, looks at the clock between and then serves; the
second table is of the server itself and of the others. The model is `trees`, the files were read before. Medians; all
take turns.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

from measure import machine, say, table, write_json
from served_model import data, model_folder
from servers import Running, ask, bare_server, mlserver, mlserver_models, own_server, running

KIND = "trees"
PARTS = """
import json, os, sys, time
began, folder, timings, port = sys.argv[1:]
found, last = {}, float(began)

def part(name):
    global last
    now = time.time()
    found[name], last = now - last, now

part("interpreter")
os.environ["OMP_NUM_THREADS"] = "1"
import gc
gc.disable()
import numpy
part("import numpy")
import pandas
part("import pandas")
import scipy.stats
part("import scipy.stats, for scikit-learn")
import sklearn.base
part("import scikit-learn, the rest")
import skops.io
part("import skops")
import fastapi
part("import fastapi")
import kubernetes
part("import kubernetes, for kserve")
import grpc
part("import grpc, for kserve")
sys.argv = sys.argv[:1]
import kserve
part("import kserve, the rest")
from pathlib import Path
from delivery.serving.server.server import checked_digest, make_server
from delivery.serving.server.signature import read_signature
from delivery.models.folder import load_model
from delivery.serving.server.folder_model import FolderModel
part("import the server's own modules")
folder = Path(folder)
columns, digest = read_signature(folder), checked_digest(folder)
part("signature and digest")
predictor = load_model(folder)
part("load the weights")
model = FolderModel("trees", digest, columns, predictor)
server = make_server(model, "127.0.0.1", int(port), None, False)
gc.freeze()
gc.enable()
part("make the server")
Path(timings).write_text(json.dumps([found, last]))
server.start([model])
"""
OPENED, ANSWERED = "open the port, until it is seen", "first inference"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as theirs:
        folder = model_folder(Path(root) / "folder", KIND)
        parts, wholes = take_turns(folder, mlserver_models(Path(theirs), [KIND]), given.repeat)
    print(tables(parts, wholes))
    if given.json:
        write_json(given.json, {"machine": machine(), "parts": parts, "wholes": wholes})


def take_turns(
    folder: Path, models: Path, repeat: int
) -> tuple[list[dict[str, float]], dict[str, list[tuple[float, float]]]]:
    """Seconds of each part, and of each server until it is ready and until its first answer."""
    parts: list[dict[str, float]] = []
    wholes: dict[str, list[tuple[float, float]]] = {}
    for turn in range(-1, repeat):
        path, ready = f"/v2/models/{KIND}/infer", f"/v2/models/{KIND}/ready"
        servers: dict[str, tuple[AbstractContextManager[Running], str, Any]] = {
            "ours": (running(own_server(folder, KIND), ready), path, named()),
            "ours, with gRPC": (running(own_server(folder, KIND, grpc=True), ready), path, named()),
            "bare": (running(bare_server(folder), "/ready"), "/predict", data(KIND, 1).to_dict("list")),
            "MLServer": (mlserver(models), path, one_tensor()),
        }
        once = {name: whole(*server) for name, server in servers.items()}
        found = staged(folder)
        say(f"{turn}: {json.dumps(once)}")
        if turn >= 0:
            parts.append(found)
            for name, seconds in once.items():
                wholes.setdefault(name, []).append(seconds)
    return parts, wholes


def whole(server: AbstractContextManager[Running], path: str, request: Any) -> tuple[float, float]:
    with server as one:
        ready = time.perf_counter() - one.began
        ask(one.port, path, request)
        return ready, time.perf_counter() - one.began


def staged(folder: Path) -> dict[str, float]:
    """Seconds of each part of one start."""
    with tempfile.TemporaryDirectory() as root:
        timings = Path(root, "timings.json")
        command = [sys.executable, "-c", PARTS, repr(time.time()), str(folder), str(timings)]
        with running(command, f"/v2/models/{KIND}/ready") as one:
            ready = time.time()
            ask(one.port, f"/v2/models/{KIND}/infer", named())
            answered = time.time()
        found, made = json.loads(timings.read_text(encoding="utf-8"))
    return {**found, OPENED: ready - made, ANSWERED: answered - ready}


def named() -> Any:
    columns = data(KIND, 1).to_dict("list").items()
    return {"inputs": [{"name": name, "datatype": "FP64", "shape": [1], "data": values} for name, values in columns]}


def one_tensor() -> Any:
    values = data(KIND, 1).to_numpy().tolist()[0]
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, len(values)], "data": values}]}


def tables(parts: list[dict[str, float]], wholes: Mapping[str, list[tuple[float, float]]]) -> str:
    total = median(sum(one.values()) for one in parts)
    lines = []
    for name in parts[0]:
        seconds = median(one[name] for one in parts)
        lines.append([name, f"{seconds * 1000:.0f}", f"{seconds / total:.0%}"])
    lines.append(["the whole", f"{total * 1000:.0f}", ""])
    others = [
        [name, f"{median(ready for ready, _ in seconds):.2f}", f"{median(answered for _, answered in seconds):.2f}"]
        for name, seconds in wholes.items()
    ]
    first = table(("part of ours", "ms", "share"), lines)
    return first + "\n\n" + table(("server", "ready after s", "first answer after s"), others)


if __name__ == "__main__":
    main()
