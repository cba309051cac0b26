"""All benchmarks, one after the other, and docs/reference/benchmarks.md from their results.

    python benchmarks/run_all.py [--only whole_run,imports]

With ``--only`` the others' last results are kept; they are in build/benchmarks/.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from frameworks import FRAMEWORKS, ROOT
from measure import clean_environment, machine, say, write_json

RESULTS = ROOT / "build" / "benchmarks"
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
INTRODUCTION = """\
# Benchmarks

`make bench` measures all of this and writes this page. Every figure is of fresh processes; those that are compared
take turns, so that a busy machine hits all alike: trust the ratios more than the seconds. Load is the number of
processes that wanted a processor before the benchmark began.
"""


@dataclass(frozen=True)
class Benchmark:
    name: str
    """Of the script."""
    title: str
    text: str
    arguments: Sequence[str] = ()


BENCHMARKS = (
    Benchmark(
        "whole_run",
        "The whole run",
        "`ostinato run demand-forecaster` on new data: registry, repository, package and a champion exist from an "
        "earlier run, and no cache answers. "
        "The others call the same functions of `components/` on the same rows and end with the same model live. "
        "Peak is the resident memory of the largest single process.",
        ("--frameworks", ",".join(FRAMEWORKS)),
    ),
    Benchmark("evaluate", "evaluate", "A million rows of 20 columns."),
    Benchmark("preprocess", "preprocess", "Ten million rows of 20 columns, Parquet."),
    Benchmark(
        "serving",
        "Serving",
        "One-row requests to the runtime `ostinato-mlflow`, to the same model behind a bare FastAPI app, and to "
        "MLServer, which KServe's stock runtime `kserve-mlserver` runs: one worker each, inference in its own process.",
    ),
    Benchmark(
        "cold_start",
        "Cold start of the runtime",
        "From the start of the process to the first answer, with the model `trees` and files that were read before. "
        "Each gate and each pod pays it once.",
    ),
    Benchmark("finetuning", "Fine-tuning", "Training tokens a second on conversations of mixed length."),
    Benchmark(
        "judging",
        "Answers of a language model",
        "The same questions to the base model of llm-qa, one by one and in batches.",
        ("--questions", "32", "--max-new-tokens", "32"),
    ),
    Benchmark("rollback", "The way back", "From what is live to what was live before, aliases included."),
    Benchmark(
        "git_transaction",
        "The git transaction",
        "One release, committed to the live branch of a manifests repository over HTTP, in a process that has started. "
        "A full clone is `git clone`, add, commit and push; a bare push is the push alone, of a commit that is ready.",
    ),
    Benchmark("engine", "The local engine", "Five trivial steps: what running a package costs."),
    Benchmark(
        "imports",
        "Imports",
        "Import time of each component module. A step's process imports kfp's runtime and `steps`; only compiling a "
        "package imports `component`.",
    ),
    Benchmark(
        "import_time",
        "What a container imports",
        "Processor time of a step's container until its function is called, and with the libraries that the function "
        "then imports, as ratio to `import kfp, mlflow`. register and deploy may take a second before their work.",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [one.name for one in BENCHMARKS]
    parser.add_argument("--only", default=",".join(names), help=f"comma-separated, of {', '.join(names)}")
    wanted = parser.parse_args().only.split(",")
    if set(wanted) - set(names):
        parser.error(f"--only: {', '.join(set(wanted) - set(names))} is none of {', '.join(names)}")
    stored = RESULTS / "results.json"
    results = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    for benchmark in BENCHMARKS:
        if benchmark.name in wanted:
            say(f"== {benchmark.name}")
            results[benchmark.name] = run(benchmark)
            write_json(stored, results)
    PAGE.write_text(page(results), encoding="utf-8")
    say(f"wrote {PAGE.relative_to(ROOT)}")


def run(benchmark: Benchmark) -> dict[str, Any]:
    """Its Markdown, and when and where it was measured. Raises CalledProcessError if it fails."""
    load = f"{os.getloadavg()[0]:.1f}"
    command = [sys.executable, f"benchmarks/{benchmark.name}.py", *benchmark.arguments]
    figures = RESULTS / f"{benchmark.name}.json"
    figures.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*command, "--json", str(figures)],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    facts = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "load": load, **machine()}
    return {"markdown": done.stdout.strip(), "command": " ".join(["python", *command[1:]]), "facts": facts}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    parts = [INTRODUCTION]
    for benchmark in BENCHMARKS:
        found = results.get(benchmark.name)
        parts.append(f"## {benchmark.title}\n\n{benchmark.text}\n")
        if found is None:
            parts.append("Not measured yet.\n")
            continue
        facts = ", ".join(f"{name} {value}" for name, value in found["facts"].items() if name != "libraries")
        parts.append(f"{found['markdown']}\n\n`{found['command']}`\n\n{facts}; {found['facts']['libraries']}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
