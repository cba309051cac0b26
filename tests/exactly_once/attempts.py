"""One command in a process of its own, which may be killed: how it ended, what it said, how long it took.

The processes are forks of one that has everything imported, so that an attempt costs what it does and no more.
"""

import multiprocessing
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.candidates import candidate, model_spec
from harness.registered import register_and_deploy

from components.register.steps import Candidate
from delivery.connections import Connections
from delivery.effects import CRASH_AT
from delivery.releases.release import ReleaseMode
from training.errors import OstinatoError

FORK = multiprocessing.get_context("fork")
BOUND_S = 240.0
SEED = "OSTINATO_TEST_SEED"

Ended = Literal["done", "refused", "killed", "broken", "hung"]
"""refused: by an OstinatoError, which is one clear message. broken: by anything else."""


@dataclass(frozen=True)
class Outcome:
    ended: Ended
    said: str
    seconds: float


@dataclass(frozen=True)
class Release:
    """What the pipeline does with one candidate after the gate: register, then deploy. Called again, it goes on."""

    name: str
    connections: Connections
    files: Candidate
    run: str
    mode: ReleaseMode = "direct"

    def __call__(self) -> None:
        register_and_deploy(model_spec(self.name), self.connections, self.files, self.run, self.mode)


def new_release(
    folder: Path, name: str, connections: Connections, weight: int, champion: str = "", mode: ReleaseMode = "direct"
) -> Release:
    """The release of a candidate with these weights, which was judged against the version ``champion``."""
    files = candidate(folder, weight, model=name, champion=champion)
    return Release(name, connections, files, f"run-{weight}", mode)


@dataclass
class Attempt:
    """A command that runs."""

    command: Callable[[], None]
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.heard, told = FORK.Pipe(duplex=False)
        self.started = time.monotonic()
        self.process = FORK.Process(target=_run, args=(self.command, dict(self.variables), told))
        self.process.start()
        told.close()

    def kill_after(self, seconds: float) -> Outcome:
        """SIGKILL unless it ends before."""
        self.process.join(seconds)
        self.process.kill()
        return self.end()

    def end(self, bound_s: float = BOUND_S) -> Outcome:
        """Wait for its end, at most so long."""
        self.process.join(bound_s)
        seconds = time.monotonic() - self.started
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            return Outcome("hung", f"still there after {seconds:.1f} s", seconds)
        try:
            ended, said = self.heard.recv()
        except EOFError:
            code = self.process.exitcode
            ended, said = ("killed", "") if code == -signal.SIGKILL else ("broken", f"exit code {code}")
        return Outcome(ended, said, seconds)


def attempt(command: Callable[[], None], crash_at: str = "", **variables: str) -> Outcome:
    """Run the command to its end, or to the effect that kills it."""
    return Attempt(command, {**variables, **({CRASH_AT: crash_at} if crash_at else {})}).end()


def _run(command: Callable[[], None], variables: Mapping[str, str], told) -> None:
    os.environ.update(variables)
    try:
        command()
    except OstinatoError as error:
        told.send(("refused", str(error)))
    except Exception:
        told.send(("broken", traceback.format_exc()))
    else:
        told.send(("done", ""))


def chance() -> random.Random:
    """A source of chance whose seed is printed; the variable OSTINATO_TEST_SEED repeats it."""
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(10**9))
    print(f"{SEED}={seed}")
    return random.Random(seed)
