"""Import time of each component module, in a fresh process, by ``python -X importtime``.

    python benchmarks/imports.py --repetitions 5 --json FILE

``component`` is imported to compile a package, and brings all of kfp. A step's process imports kfp's small runtime and
``steps``, which imports heavy libraries only when it is called. Not counted: the interpreter's own start.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from measure import clean_environment, median, table, write_json

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("pandas", "polars", "pyarrow", "numpy", "sklearn", "mlflow", "evidently", "kfp.client", "pydantic")
LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
BASELINE = "import sys"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    ours = clean_environment()
    steps = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
    modules = [f"components.{step}.{face}" for step in steps for face in ("component", "steps")]
    jobs = {"kfp.dsl": ours, **dict.fromkeys(modules, ours), "kfp.dsl.executor": {**ours, "_KFP_RUNTIME": "true"}}
    figures, heavy = {}, {}
    for module, env in jobs.items():
        own = [seconds_of(module, env) for _ in range(given.repetitions + 1)][1:]  # the first one warms up
        figures[module], heavy[module] = [seconds for seconds, _ in own], own[0][1]
    shown = {module: f"{median(seconds) * 1000:.0f}" for module, seconds in figures.items()}
    rows = [["(kfp itself: all of it, its runtime)", shown["kfp.dsl"], shown["kfp.dsl.executor"], ""]]
    for step in steps:
        face, code = f"components.{step}.component", f"components.{step}.steps"
        rows.append([step, shown[face], shown[code], ", ".join(sorted(heavy[code])) or "none"])
    print(table(["import, ms", "component", "steps", "larger libraries that steps brings"], rows))
    if given.json:
        write_json(given.json, figures)


def seconds_of(module: str, env: Mapping[str, str]) -> tuple[float, set[str]]:
    """Seconds of all that the import brings, and the larger libraries among it."""
    before, _ = traced(BASELINE, env)
    after, names = traced(f"import {module}", env)
    return (after - before) / 1e6, names & set(HEAVY)


def traced(code: str, env: Mapping[str, str]) -> tuple[int, set[str]]:
    """Microseconds over all imports of a process, start included, and the modules."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, check=True)
    lines = LINE.findall(done.stderr)
    return sum(int(own) for own, _ in lines), {name for _, name in lines}


if __name__ == "__main__":
    main()
