"""A runtime in a process of its own, as KServe starts it, for as long as a `with` block lasts."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from delivery.serving.clients.chat import ChatModel, SamplingParameters
from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.language_arguments import language_places
from delivery.serving.process.start_command import Places, command_of, path_of
from delivery.serving.runtime_table import Start, named
from delivery.serving.server.signature import example_rows
from training.errors import InputError, OstinatoError
from training.folder import workspace_root
from training.spec.generation import EngineSpec

if TYPE_CHECKING:
    import pandas as pd

START_S = 60.0
"""How long our own server may take until it answers its first inference."""
STOP_S = 5.0
ENDING_S = 2.0
"""How long after a lost answer the end of the process is waited for."""
HELLO = ({"role": "user", "content": "Hello"},)
"""The first question to a language model, unless one is given."""


@dataclass(frozen=True)
class RunningServer:
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
    openai: str = ""
    """Base URL of its OpenAI routes, where it has them."""
    faults: tuple[str, ...] = ()
    """Known departures of the runtime from OpenAI's protocol."""


class Ended(OstinatoError):
    """The server's process has ended; the text has its exit code and its last words."""


@contextmanager
def serving(
    model_folder: Path,
    name: str,
    first: "pd.DataFrame | Sequence[Mapping[str, str]] | None" = None,
    runtime: str = "ostinato-mlflow",
    protocol: str = "v2",
    http_port: int | None = None,
    engine: EngineSpec | None = None,
) -> Iterator[RunningServer]:
    """Serve a model folder on loopback in a fresh process that is gone at the end whatever happens.

    It listens on free ports, unless one is given for REST. It also ends when this process is killed: its standard input
    is then closed. first: rows of the first inference, the folder's own input example unless given; or the messages of
    the first question to a language model. runtime: a name of the table. protocol: v1, v2 or openai, of that inference.
    engine: of a language model.
    Raises OstinatoError with what the process wrote when it ends, does not answer in the time that its entry allows, or
    refuses the first inference, and when the runtime can't be started on this machine; InputError for an unknown
    runtime, when there are no rows to ask with, or when the engine wants more than the model's window.
    """
    known = named(runtime, _workspace())
    if protocol not in known.protocols:
        raise InputError(f"{runtime} does not speak {protocol!r}; ask it over {known.protocols[0]}")
    first = _first_asked(model_folder, first, protocol)
    ports = _free_ports(3)
    ports[0] = http_port or ports[0]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory(prefix="ostinato-serving-") as empty:
        places: Places = {
            **{"model_dir": str(model_folder.absolute()), "model_name": name, "empty_dir": empty},
            **dict(zip(("http_port", "grpc_port", "metrics_port"), map(str, ports), strict=True)),
            **(language_places(model_folder, name, engine or EngineSpec()) if protocol == "openai" else {}),
        }
        command, environment = command_of(runtime, known, places)
        start = known.start
        assert start is not None, "command_of has refused it"
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            openai = f"{url}/{known.openai_path}" if protocol == "openai" else ""
            _wait_until_ready(process, url + path_of(runtime, start.ready, places), name, start.within_s, log)
            _ask_first(openai or url, name, first, protocol, log)
            cold_start_s = time.perf_counter() - began
            ran, grpc = _ran(runtime, start, url), f"127.0.0.1:{ports[1]}"
            yield RunningServer(url, grpc, name, cold_start_s, process.pid, ran, process.wait, openai, known.faults)
        except OstinatoError as error:
            code = _ended(process)
            if code is None or isinstance(error, Ended):
                raise
            raise Ended(f"{error}; the server of {name} ended with exit code {code}: {_last_output(log)}") from error
        finally:
            _end(process)


def _first_asked(folder: Path, first: Any, protocol: str) -> Any:
    """Rows, or messages. Raises InputError if there are no rows."""
    if protocol == "openai":
        return HELLO if first is None else first
    rows = example_rows(folder) if first is None else first
    if rows is None:
        raise InputError(f"{folder} has no input example; give the rows of the first inference")
    return rows


def _ask_first(url: str, name: str, first: Any, protocol: str, log: IO[bytes]) -> None:
    try:
        if protocol == "openai":
            ChatModel(url, name).answer(first, SamplingParameters(max_tokens=1))
        else:
            ServedModel(url, name, protocol=protocol).infer(first.head(1))
    except OstinatoError as error:
        raise OstinatoError(
            f"the server of {name} is ready but does not answer: {error}; {_last_output(log)}"
        ) from error


def _workspace() -> Path | None:
    """The workspace, for its own table; None outside of one."""
    try:
        return workspace_root()
    except InputError:
        return None


def _ran(name: str, start: Start, url: str) -> str:
    """What the server says of itself, and the versions of this environment that decide its answers."""
    from importlib.metadata import version

    import requests

    try:
        described = requests.get(f"{url}{start.version}", timeout=5).json()
        server = f"{described.get('name', 'version')} {described['version']}"
    except (requests.RequestException, KeyError, TypeError, ValueError, AttributeError):
        server = "a server that names no version"
    libraries = [f"{library} {version(library)}" for library in start.versions]
    return ", ".join([name, server, *libraries])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, name: str, within_s: float, log: IO[bytes]) -> None:
    """Return when the model is ready. Raises OstinatoError if the process ends first, or time is up."""
    import requests

    end = time.perf_counter() + within_s
    while True:
        try:
            code = process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise Ended(f"the server of {name} ended with exit code {code}: {_last_output(log)}")
        try:
            if requests.get(url, timeout=1).status_code == 200:
                return
        except requests.RequestException:
            pass  # not listening yet
        if time.perf_counter() > end:
            raise OstinatoError(f"the server of {name} was not ready within {within_s:g} s: {_last_output(log)}")


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that is ending, None for one that goes on."""
    try:
        return process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        return None


def _last_output(log: IO[bytes]) -> str:
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
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
