"""The child process: one attempt of one step, run by KFP's own runtime.

Forked from the engine, or started as a fresh interpreter that reads its job from standard input (a command line
holds 128 KiB at most) and dies when that pipe closes.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from pipelines.backends.local.artifact import Artifact, Outputs
from pipelines.backends.local.record import LOG, RESULT, disk_full, write_json
from training.errors import OstinatoError

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NO_ROOM = 74
"""Exit status of a child that could not even write its result; EX_IOERR of sysexits.h."""
_inherited: list[object] = []


@dataclass(frozen=True)
class Job:
    """All that an attempt needs. ``executor_input`` is KFP's ExecutorInput."""

    step: str
    key: str
    folder: str
    source: str
    function: str
    env: Mapping[str, str]
    executor_input: Mapping[str, Any]
    output_parameters: Mapping[str, str]
    output_artifacts: Mapping[str, Mapping[str, str]]


def become_step(job: Job, parent: int) -> NoReturn:
    """Turn a freshly forked process into the step's own."""
    status = 1
    try:
        os.setsid()
        _die_with(parent)
        log = os.open(Path(job.folder, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for target, source in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(source, target)
        _settle()
        status = _run(job)
    finally:
        # Not sys.exit: tearing an interpreter down after mlflow or evidently takes more than a second.
        os._exit(status)


def main() -> NoReturn:
    """The fresh interpreter; the engine gave it a session and a log."""
    lifeline = os.dup(0)
    job = Job(**json.loads(sys.stdin.buffer.readline()))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    _settle()
    os._exit(_run(job))


def flush() -> None:
    """Write out what Python and C libraries hold back: a process that leaves by ``os._exit`` does not."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the engine dies, however it dies."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _settle() -> None:
    """Standard streams, signals, log handlers and garbage collection of a process of its own."""
    # Kept: closing the engine's streams here could wait for a lock whose owner, a thread, was not forked.
    _inherited.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(fd, "w", buffering=1, encoding="utf-8", closefd=False) for fd in (1, 2))
    faulthandler.enable()
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    logging.basicConfig(
        force=True, stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    # Imports make many objects and little garbage; at the default threshold the collector would scan them all the time.
    gc.set_threshold(200_000, 20, 100)
    gc.enable()


def _run(job: Job) -> int:
    """Run the attempt, write ``result.json``, return the exit status of the process."""
    result: dict[str, Any] = {"step": job.step, "key": job.key, "exit_code": 0}
    try:
        result |= {"status": "succeeded", "outputs": _execute(job).to_json()}
    except BaseException as error:  # The process ends here: whatever was raised becomes the record.
        result |= {"status": "failed", **_failure(error)}
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    try:
        flush()
        # The clock is the same in all processes; the engine may be importing, and see the end later.
        write_json(Path(job.folder, RESULT), {**result, "ended": time.monotonic()})
    except OSError as error:
        if not disk_full(error):
            raise
        return NO_ROOM
    return result["exit_code"]


def _execute(job: Job) -> Outputs:
    os.environ.update(job.env)
    runtime = importlib.import_module("kfp.dsl.executor")
    path = Path(job.folder, "ephemeral_component.py")
    path.write_text(job.source, encoding="utf-8")
    module = sys.modules[path.stem] = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(job.source, path, "exec"), vars(module))
    runtime.Executor(executor_input=job.executor_input, function_to_execute=vars(module)[job.function]).execute()
    return _outputs(job)


def _outputs(job: Job) -> Outputs:
    """What the runtime wrote down, with the content of each artifact digested."""
    places = job.executor_input["outputs"]
    written = json.loads(Path(places["outputFile"]).read_bytes())
    parameters = dict(written.get("parameterValues", {}))
    for name, kind in job.output_parameters.items():
        file = Path(places["parameters"][name]["outputFile"])
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            parameters[name] = text if kind == "STRING" else json.loads(text.lower() if kind == "BOOLEAN" else text)
        if name not in parameters:
            raise OstinatoError(f"the step gave no value for its output {name!r}; return one")
        if kind == "NUMBER_INTEGER":
            parameters[name] = int(parameters[name])
    artifacts = {}
    for name, kind in job.output_artifacts.items():
        artifact = written["artifacts"][name]["artifacts"][0]
        if "custom_path" in artifact:
            raise OstinatoError(f"the step calls set_path on its output {name!r}; write to its .path instead")
        artifacts[name] = Artifact.of(artifact["name"], kind, artifact["uri"], artifact["metadata"])
    return Outputs(parameters, artifacts)


def _failure(error: BaseException) -> dict[str, Any]:
    """Kind, message and exit code of an error."""
    kind, code = type(error).__name__, 1
    if isinstance(error, OstinatoError):
        message, code = str(error), error.exit_code
    elif disk_full(error):
        message = f"no room left to write: {error}; free some space"
    else:
        message = f"{kind}: {error}"
    return {"error": kind, "message": message, "exit_code": code}
