"""What a step's container imports before its work, and what it loads for it, as ratio to importing kfp and mlflow.

    python benchmarks/import_time.py [--repeat 5] [--json FILE]

Processor time of whole processes, medians; all take turns. ``before`` is what a container of the compiled package
imports until the step's function is called: kfp's runtime and the step's own modules. ``with libraries`` adds what the
step imports inside its functions where there is work for it: the demand forecaster's. register and deploy load MLflow's
client only where something is new, and with MLflow's SQLite only.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import Timed, clean_environment, median, say, table, timed, write_json

ROOT = Path(__file__).resolve().parent.parent
YARDSTICK = "import kfp, mlflow"
RUNTIME = "import kfp.dsl.executor_main"
LIBRARIES = {
    "preprocess": "import polars",
    "train": "import polars, sklearn.ensemble, skops.io, mlflow.sklearn, mlflow.models",
    "champion": "",
    "evaluate": "import polars, sklearn, skops.io, pandas; from evidently import Report, presets",
    "register": "from mlflow import MlflowClient",
    "deploy": "from mlflow import MlflowClient",
}
"""What a step's functions import, as far as it takes more than some milliseconds."""
LIMIT_S = 1.0
"""For register and deploy, before their work."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    figures = measure(jobs(), given.repeat)
    middle = {name: median(seconds) for name, seconds in figures.items()}
    yardstick = middle[YARDSTICK]

    def shown(name: str) -> str:
        return f"{middle[name]:.2f} s ({middle[name] / yardstick:.2f})"

    rows = [[f"`{YARDSTICK}`", shown(YARDSTICK), ""], ["an interpreter alone", shown("pass"), ""]]
    rows.append(["kfp's runtime alone", shown(RUNTIME), ""])
    rows += [[step, shown(step), shown(f"{step} at work") if text else ""] for step, text in LIBRARIES.items()]
    print(table(["processor time (ratio)", "before", "with libraries"], rows))
    if given.json:
        write_json(given.json, figures)
    slow = [step for step in ("register", "deploy") if middle[step] > LIMIT_S]
    if slow:
        sys.exit(f"{' and '.join(slow)}: more than {LIMIT_S:g} s before the work starts")


def jobs() -> dict[str, str]:
    """Code of each process by its name in the table."""
    found = {code: code for code in (YARDSTICK, "pass", RUNTIME)}
    for step, libraries in LIBRARIES.items():
        found[step] = f"{RUNTIME}\nimport components.{step}.steps"
        found[f"{step} at work"] = f"{found[step]}\n{libraries}"
    return found


def measure(code: Mapping[str, str], repeat: int) -> dict[str, list[float]]:
    """Processor seconds of each process; the first of each warms up and does not count."""
    found: dict[str, list[float]] = {name: [] for name in code}
    for number in range(repeat + 1):
        say(f"round {number} of {repeat}")
        for name, text in code.items():
            used = run([sys.executable, "-c", text], kfp_runtime=name != YARDSTICK)
            if number:
                found[name].append(used.cpu_seconds)
    return found


def run(command: Sequence[str], *, kfp_runtime: bool) -> Timed:
    env = clean_environment() | ({"_KFP_RUNTIME": "true"} if kfp_runtime else {})
    with tempfile.TemporaryDirectory() as folder:
        return timed(command, cwd=ROOT, env=env, log=Path(folder) / "log")


if __name__ == "__main__":
    main()
