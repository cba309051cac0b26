"""Vertex AI's REST interface on loopback: it reads every request into Google's own message types, which refuse unknown
fields, keeps jobs and schedules, and can go wrong in the ways that a real service does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

from harness.faults import FaultyHandler, FaultyServer
from vertex.vertex_state import Refused, State

STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


class VertexServer(FaultyServer):
    """See the module. requests: those that change something, to be read as golden files. asked: method and path of each
    request."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.state = State()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(FaultyHandler):
    server: VertexServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server, url = self.server, urlsplit(self.path)
        with server.lock:
            server.asked.append(f"{self.command} {url.path}")
            fault = server.next_fault(self.command, url.path)
            status, answer = 0, b""
            if fault is None or fault.done:
                status, answer = self._answer(url.path, dict(parse_qsl(url.query)), raw)
        if fault and not fault.body:
            fault.body = error_body(fault.status, "an invented fault")
        self.deliver(fault, status, answer)

    do_POST = do_PATCH = do_DELETE = do_GET

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


def error_body(status: int, message: str) -> bytes:
    """As all of Google's services say that something is wrong."""
    return json.dumps({"error": {"code": status, "message": message, "status": STATUSES.get(status, "")}}).encode()


@contextmanager
def running_vertex() -> Iterator[VertexServer]:
    """The server, in a thread that has ended at the end; every request must have been one of the contract."""
    server = VertexServer()
    thread = server.serve()
    try:
        yield server
    finally:
        server.end(thread)
