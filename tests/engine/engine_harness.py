"""Ways to run the engine in tests: in this process, and in one that a test may kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.backends.local import Event, RunResult, run_package

DRIVER = Path(__file__).with_name("engine_process.py")


class Engine:
    """The engine with a folder of its own; keeps the events of the last run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.events: list[Event] = []

    def run(self, ir: dict[str, Any], name: str = "run", **settings: Any) -> RunResult:
        self.events = []
        given = {"arguments": {}, "cache_dir": self.cache, "on_event": self.events.append, **settings}
        return run_package(ir, run_dir=self.folder / name, **given)

    def kinds(self, step: str) -> list[str]:
        return [event.kind for event in self.events if event.step == step]

    def reason(self, step: str) -> str:
        """Why the cache had no answer for a step in the last run."""
        return next(event.detail for event in self.events if event.step == step and event.kind == "cache missed")


class Process:
    """An engine in a process of its own, which a test may kill."""

    def __init__(self, ir: dict[str, Any], run_dir: Path, **settings: Any) -> None:
        task = {
            "ir": ir,
            "run_dir": str(run_dir),
            "cache_dir": str(run_dir.parent / "cache"),
            "arguments": {},
            **settings,
        }
        # Python without this variable leaves C's output buffered, as it is for users.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        pipe = subprocess.PIPE
        command = [sys.executable, str(DRIVER)]
        self.popen = subprocess.Popen(command, text=True, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.popen.stdin
        self.popen.stdin.write(json.dumps(task))
        self.popen.stdin.close()

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        assert self.popen.stdout and self.popen.stderr
        out, err = self.popen.stdout.read(), self.popen.stderr.read()
        return self.popen.wait(60), out, err
