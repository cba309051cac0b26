"""The runtime in a process of its own, as KServe starts it, for as long as a `with` block lasts."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.serving.client import ServedModel
from components.serving.signature import example_rows
from training.errors import InputError, OstinatoError

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
    """What runs, with its versions."""


@contextmanager
def serving(
    model_folder: Path,
    name: str,
    first: "pd.DataFrame | None" = None,
    runtime: str = "ostinato-mlflow",
    protocol: str = "v2",
) -> Iterator[Served]:
    """Serve a model folder on loopback, on free ports, in a fresh process that is gone at the end whatever happens.

    It also ends when this process is killed: its standard input is then closed. first: rows of the first inference,
    the folder's own input example unless given. Raises OstinatoError with what the process wrote when it ends, does
    not answer within 60 s, or refuses the first inference; InputError when there are no rows to ask with.
    """
    if runtime != "ostinato-mlflow":
        raise OstinatoError(f"the runtime {runtime!r} can't be run here")
    rows = example_rows(model_folder) if first is None else first
    if rows is None:
        raise InputError(f"{model_folder} has no input example; give the rows of the first inference")
    http_port, grpc_port = _free_ports()
    command = [sys.executable, "-m", "components.serving.server", "--model_dir", str(model_folder)]
    command += ["--model_name", name, "--http_port", str(http_port), "--grpc_port", str(grpc_port), "--stop_with_stdin"]
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{http_port}"
            _wait_until_ready(process, url, name, began + START_S, log)
            try:
                ServedModel(url, name, protocol=protocol).infer(rows.head(1))
            except OstinatoError as error:
                raise OstinatoError(f"the server of {name} is ready but does not answer: {error}") from error
            cold_start_s = time.perf_counter() - began
            yield Served(url, f"127.0.0.1:{grpc_port}", name, cold_start_s, process.pid, ran())
        finally:
            _end(process)


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


def _free_ports() -> tuple[int, int]:
    """Two different ports of loopback that nobody listens on now."""
    import socket

    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def ran() -> str:
    """The runtime with the versions that decide what it answers."""
    from importlib.metadata import version

    names = ("kserve", "scikit-learn", "skops")
    return "ostinato-mlflow, " + ", ".join(f"{name} {version(name)}" for name in names)
