"""Vertex AI's REST interface on loopback: it reads every request into Google's own message types, which refuse unknown
fields, keeps jobs and schedules, and can go wrong in the ways that a real service does."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from vertex.vertex_state import Refused, State

LATE_S = 30.0
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind: another answer, one cut off, or none in time; with ``done``
    only after the thing was done."""

    method: str
    ends: str
    status: int = 0
    body: bytes = b""
    cut: bool = False
    late: bool = False
    done: bool = False
    times: int = 1


class VertexServer(ThreadingHTTPServer):
    """See the module. broken: every request that the contract does not have. requests: those that change something,
    to be read as golden files. asked: method and path of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = State()
        self.faults: list[Fault] = []
        self.broken: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.let_go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: VertexServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server, url = self.server, urlsplit(self.path)
        with server.lock:
            server.asked.append(f"{self.command} {url.path}")
            fault = next((one for one in server.faults if self._meets(one, url.path)), None)
            if fault:
                fault.times -= 1
                if not fault.times:
                    server.faults.remove(fault)
            status, answer = 0, b""
            if fault is None or fault.done:
                status, answer = self._answer(url.path, dict(parse_qsl(url.query)), raw)
        self._deliver(fault, status, answer)

    do_POST = do_PATCH = do_DELETE = do_GET

    def _meets(self, fault: Fault, path: str) -> bool:
        return fault.method == self.command and path.endswith(fault.ends)

    def _answer(self, path: str, query: dict[str, str], raw: bytes) -> tuple[int, bytes]:
        server = self.server
        if self.headers.get("Authorization"):
            server.broken.append("a token was sent to an address of this machine")
        query.pop("$alt", None)
        body = json.loads(raw) if raw else {}
        try:
            answer = server.state.answer(self.command, path, query, body)
        except Refused as refusal:
            if refusal.broken:
                server.broken.append(f"{self.command} {path}: {refusal}")
            return refusal.status, error_body(refusal.status, str(refusal))
        if self.command != "GET":
            server.requests.append({"method": self.command, "path": path, "query": query, "body": body})
        return 200, json.dumps(answer).encode()

    def _deliver(self, fault: Fault | None, status: int, answer: bytes) -> None:
        if fault is None:
            self._send(status, answer)
        elif fault.late:
            self.server.let_go.wait(LATE_S)
            self.close_connection = True
        elif fault.cut:
            self.send_response(200)
            self.send_header("Content-Length", "4096")
            self.end_headers()
            self.wfile.write(b'{"name')
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self._send(fault.status, fault.body or error_body(fault.status, "an invented fault"))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def error_body(status: int, message: str) -> bytes:
    """As all of Google's services say that something is wrong."""
    return json.dumps({"error": {"code": status, "message": message, "status": STATUSES.get(status, "")}}).encode()


@contextmanager
def running_vertex() -> Iterator[VertexServer]:
    """The server, in a thread that has ended at the end; every request must have been one of the contract."""
    server = VertexServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join(LATE_S)
    assert server.broken == []
