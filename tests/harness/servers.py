"""Real servers on loopback for tests: MLflow's own server process, and git's http-backend over HTTP."""

import base64
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

START_S = 90.0


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


class GitServer(ThreadingHTTPServer):
    """Every bare repository under ``root`` over smart HTTP, by git's own http-backend.

    credentials: (user, password) that every request must carry. status: answer every request with it instead.
    hanging: while set, requests are taken and not answered. drop_pushes: how many pushes are done, but their answer
    is cut off. intercept: is given each request first, and says whether it has dealt with it.
    """

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), GitRequest)
        self.root = root
        self.credentials: tuple[str, str] | None = None
        self.status: int | None = None
        self.drop_pushes = 0
        self.intercept: Callable[[GitRequest, bytes], bool] | None = None
        self.let_go = threading.Event()
        self.let_go.set()

    def url(self, repository: Path) -> str:
        return f"http://127.0.0.1:{self.server_port}/{repository.relative_to(self.root).as_posix()}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed while they talk are part of the tests."""


class GitRequest(BaseHTTPRequestHandler):
    server: GitServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, body: bytes) -> None:
        server = self.server
        server.let_go.wait(START_S)
        if server.intercept and server.intercept(self, body):
            return
        if server.status:
            self.send_error(server.status)
            return
        if server.credentials and self.headers.get("Authorization") != basic(server.credentials):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        head, answer = self.backend(body)
        if server.drop_pushes and self.path.endswith("/git-receive-pack"):
            server.drop_pushes -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(int(head.pop("Status", "200").split()[0]))
        for name, value in {**head, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def backend(self, body: bytes) -> tuple[dict[str, str], bytes]:
        """Headers and body of what git answers."""
        server = self.server
        path, _, query = self.path.partition("?")
        cgi = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": server.credentials[0] if server.credentials else "anyone",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=cgi, capture_output=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        return dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line), answer


def basic(credentials: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credentials).encode()).decode()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server over HTTP for the bare repositories in ``tmp_path / "served"``."""
    root = tmp_path / "served"
    root.mkdir(exist_ok=True)
    with running_git(GitServer(root)) as server:
        yield server


@contextmanager
def running_git(server: GitServer) -> Iterator[GitServer]:
    """The server, in a thread that has ended at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join(START_S)
