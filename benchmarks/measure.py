"""Timing of whole processes, and the machine that they ran on."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Timed:
    """One process and all that it waited for."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """User and system time."""
    peak_mib: float
    """Resident memory of the largest single process at its peak."""


def timed(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Timed:
    """Run to the end; output goes to ``log``. Raises RuntimeError with the log's end if it fails."""
    with log.open("wb") as output:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{tail}")
    return Timed(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def clean_environment() -> dict[str, str]:
    """This process's environment with bytecode files, and without settings of ours."""
    refused = ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in refused and "OSTINATO" not in name}


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> dict[str, str]:
    """What a reader needs to judge the figures: processor, memory, system, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    names = ("kfp", "mlflow", "evidently", "scikit-learn", "polars", "pandas", "numpy")
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in names),
    }


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
