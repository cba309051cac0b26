"""A runtime in a process of its own, as KServe starts it, for as long as a `with` block lasts."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.serving import watched
from components.serving.client import ServedModel
from components.serving.runtimes import OWN_TABLE, Runtime, Start, named
from components.serving.signature import example_rows
from training.errors import InputError, OstinatoError
from training.folder import workspace_root

if TYPE_CHECKING:
    import pandas as pd

START_S = 60.0
"""How long a server may take until it answers its first inference."""
STOP_S = 5.0


@dataclass(frozen=True)
class Served:
    """A server that has answered an inference."""

    url: str
    """Of REST, such as ``http://127.0.0.1:40001``."""
    grpc: str
    """Host and port of gRPC."""
    name: str
    cold_start_s: float
    """From the start of the process to its first inference answered."""
    pid: int
    ran: str
    """What ran, with versions: ``ostinato-mlflow, kserve 0.21.0, scikit-learn 1.9.1``."""
    wait: Callable[[], int]
    """Returns the exit code of the process when it has ended."""


@contextmanager
def serving(
    model_folder: Path,
    name: str,
    first: "pd.DataFrame | None" = None,
    runtime: str = "ostinato-mlflow",
    protocol: str = "v2",
    http_port: int | None = None,
) -> Iterator[Served]:
    """Serve a model folder on loopback in a fresh process that is gone at the end whatever happens.

    It listens on free ports, unless one is given for REST. It also ends when this process is killed: its standard input
    is then closed. first: rows of the first inference, the folder's own input example unless given. runtime: a name of
    the table. protocol: v1 or v2, of that inference.
    Raises OstinatoError with what the process wrote when it ends, does not answer within 60 s, or refuses the first
    inference, and when the runtime can't be started on this machine; InputError for an unknown runtime or when there
    are no rows to ask with.
    """
    known = named(runtime, _workspace())
    if protocol not in known.protocols:
        raise InputError(f"{runtime} does not speak {protocol!r}; ask it over {known.protocols[0]}")
    rows = example_rows(model_folder) if first is None else first
    if rows is None:
        raise InputError(f"{model_folder} has no input example; give the rows of the first inference")
    ports = _free_ports(3)
    ports[0] = http_port or ports[0]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory(prefix="ostinato-serving-") as empty:
        places = {"model_dir": str(model_folder.absolute()), "model_name": name, "empty_dir": empty}
        places |= dict(zip(("http_port", "grpc_port", "metrics_port"), map(str, ports), strict=True))
        command, environment = command_of(runtime, known, places)
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            _wait_until_ready(process, url, name, began + START_S, log)
            try:
                ServedModel(url, name, protocol=protocol).infer(rows.head(1))
            except OstinatoError as error:
                raise OstinatoError(f"the server of {name} is ready but does not answer: {error}") from error
            cold_start_s = time.perf_counter() - began
            ran = _ran(runtime, known.start, url)
            yield Served(url, f"127.0.0.1:{ports[1]}", name, cold_start_s, process.pid, ran, process.wait)
        finally:
            _end(process)


def command_of(name: str, runtime: Runtime, places: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Program with arguments, and the environment, that start a runtime here.

    places: values of model_dir, model_name, empty_dir, http_port, grpc_port and metrics_port. Raises OstinatoError if
    it can't be started on this machine, and says how it could; InputError if its entry names a place that there is not.
    """
    start = runtime.start
    if start is None:
        raise OstinatoError(
            f"{name} can't be started on this machine: its entry has no start. Give one in {OWN_TABLE} beside "
            "training/, with the command of its server, to prove that it serves the model"
        )
    program = start.command[0]
    chosen = start.command
    if program != "{python}" and shutil.which(program) is None:
        if not start.stand_in:
            raise OstinatoError(f"{name} can't be started on this machine: there is no {program}; install it")
        chosen = start.stand_in
    filled = {"python": sys.executable, **places}
    try:
        command = [one.format_map(filled) for one in chosen]
        added = {key: value.format_map(filled) for key, value in start.environment.items()}
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{name}.start: {error} is no place to fill in; known: {', '.join(filled)}") from error
    if not start.ends_with_stdin:
        command = [sys.executable, watched.__file__, *command]
    return command, {**os.environ, **added}


def _workspace() -> Path | None:
    """The workspace, for its own table; None outside of one."""
    try:
        return workspace_root()
    except InputError:
        return None


def _ran(name: str, start: Start | None, url: str) -> str:
    """What the server says of itself, and the versions of this environment that decide its answers."""
    from importlib.metadata import version

    import requests

    try:
        said = requests.get(f"{url}/v2", timeout=5).json()
        server = f"{said['name']} {said['version']}"
    except (requests.RequestException, KeyError, TypeError, ValueError):
        server = "a server that names no version"
    libraries = [f"{one} {version(one)}" for one in start.versions] if start else []
    return ", ".join([name, server, *libraries])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, name: str, end: float, log: IO[bytes]) -> None:
    """Return when the model is ready. Raises OstinatoError if the process ends first, or time is up."""
    import requests

    while True:
        try:
            code = process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise OstinatoError(f"the server of {name} ended with exit code {code}: {_said(log)}")
        try:
            if requests.get(f"{url}/v2/models/{name}/ready", timeout=1).status_code == 200:
                return
        except requests.RequestException:
            pass  # not listening yet
        if time.perf_counter() > end:
            raise OstinatoError(f"the server of {name} was not ready within {START_S:g} s: {_said(log)}")


def _said(log: IO[bytes]) -> str:
    """The end of what the process wrote."""
    log.seek(0)
    return log.read()[-2000:].decode(errors="replace").strip() or "it wrote nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Different ports of loopback that nobody listens on now."""
    import socket
    from contextlib import ExitStack

    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
