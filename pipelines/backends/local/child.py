"""The engine's side of a child process: start it, see how it ended, stop it with everything that it started."""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pipelines.backends.local.record import LOG, RESULT, read_json
from pipelines.backends.local.step import NO_ROOM, STOPPING, Job, become_step, flush

StartMethod = Literal["fork", "spawn"]
DEFAULT_START: StartMethod = "fork" if sys.platform == "linux" else "spawn"
GRACE = 3.0
"""Seconds between SIGTERM, on which git and others tidy up, and SIGKILL."""


class Child:
    """A running attempt. It leads a process group of its own, so that a Ctrl-C reaches the engine alone."""

    def __init__(self, job: Job, method: StartMethod) -> None:
        self.job, self.started = job, time.monotonic()
        self.status: int | None = None
        """Exit status once it has ended; negative: the signal that killed it."""
        Path(job.folder).mkdir(parents=True)
        self._process = _spawn(job) if method == "spawn" else None
        self._pid = self._process.pid if self._process else _fork(job)

    def ended(self) -> bool:
        """Whether the step's process has ended; then nothing that it left running outlives it, as in a container."""
        if self._reap():
            self.signal(signal.SIGKILL)
        return self.status is not None

    def gone(self) -> bool:
        """Whether the step's process and all that it started have ended."""
        self._reap()
        return not self.signal(0)

    def signal(self, number: int) -> bool:
        """Send a signal to the step and all that it started; whether anything was there to get it."""
        try:
            os.killpg(self._pid, number)
        except (ProcessLookupError, PermissionError):  # No group: not made yet, or (PermissionError) only zombies left.
            if self.status is not None:
                return False
            os.kill(self._pid, number)
        return True

    def _reap(self) -> bool:
        if self.status is None and self._process:
            self.status = self._process.poll()
        elif self.status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def outcome(self) -> dict[str, Any]:
        """``result.json`` of the ended child, or a failure in words if it could not write one."""
        result = read_json(Path(self.job.folder, RESULT))
        if result is not None:
            return result
        assert self.status is not None
        if self.status == NO_ROOM:
            message = f"no room left to write in {self.job.folder}; free some space"
        elif self.status == -signal.SIGKILL:
            message = "it was killed (SIGKILL), most often for want of memory; give it less data, or more memory"
        elif self.status < 0:
            message = f"it was killed by {signal.Signals(-self.status).name} ({signal.strsignal(-self.status)})"
        else:
            message = f"its process ended with exit status {self.status} before the step was done"
        return {"status": "failed", "error": "OstinatoError", "message": message, "exit_code": 1}


def stop(children: Sequence[Child]) -> None:
    """End the children and all that they started: asked first, killed after a grace period."""
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while not all([child.gone() for child in children]) and time.monotonic() < deadline:
        time.sleep(0.005)
    for child in children:
        child.signal(signal.SIGKILL)
    while not all([child.ended() for child in children]):
        time.sleep(0.001)


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Ctrl-C waits until this ends, so that no child is started without being known."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork(job: Job) -> int:
    flush()
    # The engine's objects are no garbage: keep the child's collector off them, and their pages shared.
    gc.freeze()
    parent = os.getpid()
    with warnings.catch_warnings():
        # The threads are those of BLAS libraries, which are made to survive a fork; the engine starts none.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        become_step(job, parent)
    return pid


def _spawn(job: Job) -> subprocess.Popen[bytes]:
    with Path(job.folder, LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from pipelines.backends.local.step import main; main()"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):  # It died at once; its exit status tells more.
        process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        process.stdin.flush()
    return process
