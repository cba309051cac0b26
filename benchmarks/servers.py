"""The servers that serving.py and cold_start.py compare: fresh processes on loopback, one worker, one OpenMP thread."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from frameworks import ENVIRONMENTS, ROOT, uv
from measure import clean_environment

START_S = 60.0
MLSERVER = "1.7.1"
"""The version of KServe's runtime kserve-mlserver."""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    pid: int
    began: float
    """Moment of time.perf_counter at which its process was started."""


def own_server(folder: Path, name: str, grpc: bool = False) -> list[str]:
    """The command of the runtime, less its port."""
    command = [sys.executable, "-m", "delivery.serving.server.server", "--model_dir", str(folder), "--model_name", name]
    return [*command, *(("--grpc_port", str(free_port())) if grpc else ()), "--http_port"]


def bare_server(folder: Path) -> list[str]:
    """The command of the bare app, less its port."""
    return [sys.executable, str(ROOT / "benchmarks" / "sides" / "bare_app.py"), str(folder)]


@contextmanager
def running(command: Sequence[str], ready: str, *, port: int | None = None, cwd: Path = ROOT) -> Iterator[Running]:
    """Start a server, with a free port as its last argument unless one is given; it has ended at the end.

    Raises RuntimeError with what it wrote if the path ``ready`` is not answered within 60 s.
    """
    if port is None:
        port = free_port()
        command = [*command, str(port)]
    env = {**clean_environment(), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
        try:
            while not _answers(f"http://127.0.0.1:{port}{ready}"):
                if process.poll() is not None or time.perf_counter() - began > START_S:
                    log.seek(0)
                    raise RuntimeError(f"{command} did not start: {log.read()[-2000:].decode()}")
            yield Running(port, process.pid, began)
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        time.sleep(0.005)
        return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def mlserver_python() -> Path:
    """The Python of MLServer's own environment, made on first use, with our scikit-learn and NumPy."""
    folder = ENVIRONMENTS / f"mlserver-{MLSERVER}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        same = [f"{name}=={version(name)}" for name in ("scikit-learn", "numpy", "scipy", "pandas", "joblib")]
        uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        uv(
            *("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)),
            *(f"mlserver=={MLSERVER}", f"mlserver-sklearn=={MLSERVER}", *same),
        )
        ready.touch()
    return python


def mlserver_models(folder: Path, names: Sequence[str]) -> Path:
    """Models for MLServer, made in its environment; a name is a kind, or a kind and ``-named``."""
    script = ROOT / "benchmarks" / "served_model.py"
    subprocess.run([mlserver_python(), script, folder, *names], env=clean_environment(), check=True)
    for name in names:
        model = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel"}
        settings = {**model, "parameters": {"uri": "./model.joblib"}}
        (folder / name / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@contextmanager
def mlserver(models: Path) -> Iterator[Running]:
    """MLServer over a folder of models, inference in the server's own process, as it documents it."""
    ports = {name: free_port() for name in ("http_port", "grpc_port", "metrics_port")}
    settings = {"parallel_workers": 0, "debug": False, "host": "127.0.0.1", **ports}
    (models / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [str(mlserver_python().with_name("mlserver")), "start", "."]
    with running(command, "/v2/health/ready", port=ports["http_port"], cwd=models) as found:
        yield found


def ask(port: int, path: str, request: object) -> Any:
    """One request on a connection of its own."""
    url, body = f"http://127.0.0.1:{port}{path}", json.dumps(request).encode()
    posted = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(posted, timeout=30) as answer:
        return json.load(answer)
