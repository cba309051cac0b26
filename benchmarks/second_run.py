"""The second run with nothing changed: how long, where the time goes, and that nothing was written."""

import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from measure import Timed, median, say, table, timed
from workspace import Workspace

TARGET_SECONDS = 1.5
IMPORT_LINE = re.compile(rb"^import time:\s+(\d+) \|\s+\d+ \| ", re.MULTILINE)


def second_runs(workspace: Workspace, command: Sequence[str], repetitions: int) -> tuple[str, dict[str, Any]]:
    """Run the command again and again. Returns the Markdown and the figures.

    Raises RuntimeError if a row of the registry's database or a ref of the manifests repository is another afterwards.
    """
    before = workspace.state()
    runs: list[Timed] = []
    parts: list[dict[str, float]] = []
    for number in range(repetitions + 1):  # the first one warms up
        began = time.time()
        took = timed(command, cwd=workspace.root, env=workspace.env, log=workspace.log)
        if workspace.state() != before:
            raise RuntimeError("a second run with nothing changed wrote to the registry or the manifests repository")
        say(f"second run {number}/{repetitions}: {took.seconds:.2f} s")
        if number:
            runs.append(took)
            parts.append(phases(workspace, began, took.seconds))
    spent = {name: median([one[name] for one in parts]) for name in parts[0]}
    imports = import_seconds(workspace, command)
    wall = median([run.seconds for run in runs])
    rows = [["whole command", f"{wall:.2f}", f"{TARGET_SECONDS:.2f}", "yes" if wall <= TARGET_SECONDS else "no"]]
    rows += [[f"of which {name}", f"{seconds:.2f}", "", ""] for name, seconds in spent.items()]
    rows.append(["all imports of the main process", f"{imports:.2f}", "", ""])
    text = table(["second run, nothing changed", "median s", "target, at most", "met"], rows)
    note = "\nRegistry (every row of its database) and manifests repository (every ref) were the same before and after."
    figures = {"seconds": [run.seconds for run in runs], "phases": parts, "imports": imports}
    return f"{text}\n{note}", figures


def phases(workspace: Workspace, began: float, seconds: float) -> dict[str, float]:
    """Seconds up to the engine, in each step that ran, in the engine besides, and after it; from the run's journal."""
    journal = max((workspace.root / ".ostinato" / "runs").glob("*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    at = {event["kind"]: datetime.fromisoformat(event["time"]).timestamp() for event in events}
    steps = {event["step"]: event["seconds"] for event in events if event["kind"] == "step succeeded"}
    start, end = at["run started"], at["run ended"]
    return {
        "start and imports, up to the engine": start - began,
        **{f"the step {name}": spent for name, spent in steps.items()},
        "the engine, cached steps included": end - start - sum(steps.values()),
        "page, summary and exit": began + seconds - end,
    }


def import_seconds(workspace: Workspace, command: Sequence[str]) -> float:
    """Sum over all imports of the main process, by ``python -X importtime``, which itself costs some."""
    traced = [sys.executable, "-X", "importtime", *command]
    timed(traced, cwd=workspace.root, env=workspace.env, log=workspace.log)
    return sum(int(own) for own in IMPORT_LINE.findall(workspace.log.read_bytes())) / 1e6
