"""What surrounds a run: the lock on its folder, signals that end it, KFP's runtime in the engine's process."""

import contextlib
import fcntl
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pipelines.backends.local.record import disk_full
from training.errors import InputError

MANIFEST = "run.json"


@contextlib.contextmanager
def run_folder(path: Path, resume: bool) -> Iterator[None]:
    """The run's folder, held by this process alone. Raises InputError if it will not do."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("ab")
    except OSError as error:
        if disk_full(error):
            raise
        raise InputError(
            f"cannot write to the run folder {path}: {error.strerror}; name another, or mend it"
        ) from error
    with lock:
        try:
            # A lock of this kind is not inherited by forked children, and goes with the process however it ends.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another process is at work in {path}; wait for it, or stop it") from error
        if resume and not (path / MANIFEST).exists():
            raise InputError(f"there is no run to resume in {path}; start one, or name its folder")
        if not resume and (path / MANIFEST).exists():
            raise InputError(f"there is a run in {path} already; resume it, or name another folder")
        yield


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does, with exit status 128 + number."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    # A signal that is ignored, as SIGHUP under nohup, stays ignored.
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if main and signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def step_environment() -> Iterator[None]:
    """Environment variables that all steps get, and that libraries read when they are imported."""
    # Threads of OpenMP that wait by spinning slow down the steps and imports beside them, and each other: a fit of
    # 1 s takes up to 100 s on a busy machine. A value that the user has set stays.
    given = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"), "_KFP_RUNTIME": "true"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


@contextlib.contextmanager
def kfp_runtime() -> Iterator[None]:
    """KFP's runtime without compiler and client, imported once for all forked children, and no garbage collection.

    It is taken out of the interpreter afterwards, so that a later ``import kfp`` gets all of it.
    """
    ours, collecting = "kfp" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        importlib.import_module("kfp.dsl.executor")
        yield
    finally:
        for name in [name for name in sys.modules if ours and name.partition(".")[0] == "kfp"]:
            del sys.modules[name]
        gc.unfreeze()
        if collecting:
            gc.enable()
