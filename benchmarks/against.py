"""The runtime `ostinato-mlflow` of this tree beside that of another commit: small requests a second, and their cost.

    python benchmarks/against.py COMMIT [--seconds 2] [--repeat 7] [--at-least 0.95]

One-row requests of ten columns, 1 and 16 at a time, on connections that are kept. Both servers run side by side and
take turns; a ratio is of the same turn, and the median of them counts. On a busy machine look at the processor time.
Ends with 1 where requests a second are below what is demanded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from frameworks import ROOT
from load import load
from measure import say, table
from served_model import data, model_folder
from servers import Running, own_server, running

NAME = "linear"
WARM_UP_S = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--at-least", type=float, default=0.95, help="of this tree to the commit, in requests a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        other, folder = Path(work, "tree"), model_folder(Path(work, NAME), NAME)
        other.mkdir()
        archive = subprocess.run(["git", "archive", given.commit], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", other], input=archive.stdout, check=True)
        command, ready = own_server(folder, NAME), f"/v2/models/{NAME}/ready"
        with running(command, ready) as now, running(command, ready, cwd=other) as before:
            ratios = {many: turns(now, before, many, given.seconds, given.repeat) for many in (1, 16)}
    medians = {many: [median(column) for column in zip(*found, strict=True)] for many, found in ratios.items()}
    rows = [(str(many), *(f"{ratio:.3f}" for ratio in found)) for many, found in medians.items()]
    print(table(("at a time", f"requests a second to {given.commit}", "processor time a request"), rows))
    return 0 if all(found[0] >= given.at_least for found in medians.values()) else 1


def turns(now: Running, before: Running, concurrency: int, seconds: float, repeat: int) -> list[tuple[float, float]]:
    """This tree to the commit, a turn: requests a second, and processor time a request. Who begins changes."""
    columns = data(NAME, 1).to_dict("list")
    inputs = [{"name": name, "shape": [1], "datatype": "FP64", "data": values} for name, values in columns.items()]
    body, ratios = json.dumps({"inputs": inputs}).encode(), []
    for turn in range(-1, repeat):
        length = seconds if turn >= 0 else WARM_UP_S
        measured = {}
        for server in (now, before) if turn % 2 else (before, now):
            measured[server] = load(server.port, server.pid, f"/v2/models/{NAME}/infer", body, concurrency, length)
        ours, other = measured[now], measured[before]
        say(f"{concurrency} at a time: {ours.per_second:.0f}/s now, {other.per_second:.0f}/s before")
        if turn >= 0:
            ratios.append((ours.per_second / other.per_second, ours.cpu_ms / other.cpu_ms))
    return ratios


if __name__ == "__main__":
    sys.exit(main())
