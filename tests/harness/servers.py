"""Real servers on loopback for tests: MLflow's own server process, and git's http-backend over HTTP."""

import base64
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.loopback import LoopbackServer, Reply, Request

START_S = 90.0
LOGIN = {"WWW-Authenticate": 'Basic realm="git"'}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(url: str, server: subprocess.Popen[str], tries: int = 300) -> None:
    """Return when the address answers. Fails the test if the server ends, or after about a minute."""
    for _ in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert server.poll() is None, "the server ended"
            try:
                server.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    pytest.fail(f"{url} was not ready")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Tracking URI of a real MLflow server with a SQLite store; clients reach the artifacts themselves."""
    home = tmp_path_factory.mktemp("mlflow-server")
    with running_mlflow(home, "--no-serve-artifacts", "--default-artifact-root", (home / "artifacts").as_uri()) as url:
        yield url


@contextmanager
def running_mlflow(home: Path, *options: str) -> Iterator[str]:
    """Start a real MLflow server that keeps its things in the folder, and give its tracking URI."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--workers", "1", *options]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=home, env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_healthy(f"{url}/health", server, home / "log")
            yield url
        finally:
            os.killpg(server.pid, 15)
            server.wait(START_S)


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the first answer, of any kind but a server error."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        try:
            code = server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"the server ended with {code}: {log.read_text()[-2000:]}")
    pytest.fail(f"the server was not up after {START_S} s: {log.read_text()[-2000:]}")


class GitServer(LoopbackServer):
    """Every bare repository under ``root`` over smart HTTP, by git's own http-backend.

    credentials: (user, password) that every request must carry. status: answer every request with it instead.
    let_go: while it is cleared, requests are taken and not answered. drop_pushes: how many pushes are done, but their
    answer is cut off. intercept: is given each request first, and says whether it has dealt with it.
    """

    def __init__(self, root: Path, port: int = 0) -> None:
        super().__init__(port=port)
        self.root = root
        self.credentials: tuple[str, str] | None = None
        self.status: int | None = None
        self.drop_pushes = 0
        self.intercept: Callable[[Request], bool] | None = None
        self.let_go.set()

    def url_of(self, repository: Path) -> str:
        return f"{self.url}/{repository.relative_to(self.root).as_posix()}"

    def answer(self, request: Request) -> Reply | None:
        self.let_go.wait(START_S)
        if self.intercept and self.intercept(request):
            return None
        if self.status:
            return Reply(self.status)
        if self.credentials and request.headers.get("Authorization") != basic(self.credentials):
            return Reply(401, headers=LOGIN)
        reply = self.backend(request)
        if self.drop_pushes and request.path.endswith("/git-receive-pack"):
            self.drop_pushes -= 1
            return request.cut()
        return reply

    def backend(self, request: Request) -> Reply:
        """What git answers."""
        cgi = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.target.partition("?")[2],
            "REQUEST_METHOD": request.method,
            "REMOTE_USER": self.credentials[0] if self.credentials else "anyone",
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=request.body, env=cgi, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        return Reply(int(headers.pop("Status", "200").split()[0]), content, headers)


def basic(credentials: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credentials).encode()).decode()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server over HTTP for the bare repositories in ``tmp_path / "served"``."""
    root = tmp_path / "served"
    root.mkdir(exist_ok=True)
    with GitServer(root) as server:
        yield server
