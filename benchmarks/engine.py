"""What the local engine costs: five trivial steps as a whole process, against kfp.local and plain functions.

    python benchmarks/engine.py [--rounds 7] [--json FILE]

Each round runs every contender once in a fresh process, so that a busy machine hits all alike; medians are compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PLAIN = """
def step(text): return text + "."
text = "a"
for _ in range(5): text = step(text)
assert text == "a....."
"""
ENGINE = """
import sys
from pathlib import Path
from pipelines.backends.local import load_package, run_package
package, folder = Path(sys.argv[1]), Path(sys.argv[2])
folders = {"run_dir": folder / "run", "cache_dir": folder.parent / sys.argv[3]}
run = run_package(load_package(package), arguments={"text": "a"}, **folders)
assert run.steps["step-5"].outputs.parameters == {"Output": "a....."}
"""
KFP_LOCAL = """
import sys
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
components.load_component_from_file(sys.argv[1])(text="a")
"""
CONTENDERS = {
    "plain functions": (PLAIN, ""),
    "engine, all steps run": (ENGINE, "unused"),
    "engine, all from the cache": (ENGINE, "shared"),
    "kfp.local": (KFP_LOCAL, ""),
}


def compile_steps(path: Path) -> None:
    """Five steps in a row, each handing a text on."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def step(text: str) -> str:
        return text + "."

    handed_on: Any = step

    def five_steps(text: str):
        value: Any = text
        for _ in range(5):
            value = handed_on(text=value).output

    pipeline: Any = dsl.pipeline(five_steps, name="five-steps")
    compiler.Compiler().compile(pipeline, str(path))


def seconds(code: str, package: Path, folder: Path, cache: str) -> float:
    """Wall time of a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, package, folder, cache], env=environment, capture_output=True, check=True
    )
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, float]:
    """Median seconds by contender; one round before them warms bytecode and cache and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch, "package.yaml")
        compile_steps(package)
        for i in range(rounds + 1):
            for number, (name, (code, cache)) in enumerate(CONTENDERS.items()):
                folder = Path(scratch, f"{i}-{number}")
                used = seconds(code, package, folder, cache if cache != "unused" else f"cache-{i}")
                times[name] += [used] if i else []
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write seconds by contender")
    options = parser.parse_args()
    medians = measure(options.rounds)
    print("| five trivial steps, whole process | seconds | of kfp.local |\n|---|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value:.3f} | {value / medians['kfp.local']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps({"rounds": options.rounds, "seconds": medians}, indent=1) + "\n")


if __name__ == "__main__":
    main()
