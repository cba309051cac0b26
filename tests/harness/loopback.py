"""The one kind of server that tests have on loopback: it answers by a function, keeps what it was asked, and goes wrong
as a test invents it."""

import json
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

LATE_S = 30.0
"""The longest that a server waits for anything."""


@dataclass(frozen=True)
class Request:
    """One request. target: path and query. handler: for answers that are not whole, such as a cut connection."""

    method: str
    target: str
    headers: Message
    body: bytes
    handler: BaseHTTPRequestHandler = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def cut(self) -> None:
        """End the connection."""
        self.handler.wfile.flush()
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def send(self, reply: "Reply") -> None:
        handler, (status, content, headers) = self.handler, reply
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(content)


class Reply(NamedTuple):
    """An answer. content: bytes and text as they are, else as JSON. headers: may say another length than it has."""

    status: int
    content: Any = b""
    headers: Mapping[str, str] = {}


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind: another answer; without a status, the connection ends.

    ends: of the path. cut: within the answer. late: none comes. done: only after the thing was done.
    """

    method: str
    ends: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    kind: str = "application/json"
    cut: bool = False
    late: bool = False
    done: bool = False
    times: int = 1


class LoopbackServer(ThreadingHTTPServer):
    """Serves in a thread for as long as the context lasts. broken: what a client must not do, told at its end."""

    daemon_threads = True
    request_queue_size = 64
    prefix = ""
    """Of the URL's path."""

    def __init__(self, answer: Callable[[Request], Reply | None] | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}{self.prefix}"
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.broken: list[str] = []
        self.lock = threading.Lock()
        self.let_go = threading.Event()
        """Set when the server goes down: what hangs until then waits for it."""
        self._given = answer
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def answer(self, request: Request) -> Reply | None:
        """None: the request is answered already."""
        assert self._given
        return self._given(request)

    def respond(self, request: Request) -> None:
        """Answer, or go wrong as a test invented it."""
        with self.lock:
            self.log.append(request)
            fault = self._next_fault(request)
        reply = self.answer(request) if fault is None or fault.done else None
        if fault:
            self._fail(request, fault)
        elif reply:
            request.send(reply)

    def invented(self, status: int) -> bytes:
        """What a fault with this status says where the test does not."""
        return b""

    def _next_fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.method == request.method and request.path.endswith(fault.ends):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def _fail(self, request: Request, fault: Fault) -> None:
        if fault.late:
            self.let_go.wait(LATE_S)
            request.handler.close_connection = True
        elif fault.cut:
            request.send(Reply(200, b'{"begun', {"Content-Length": "4096"}))
            request.cut()
        elif not fault.status:
            request.cut()
        else:
            content = fault.body or self.invented(fault.status)
            request.send(Reply(fault.status, content, {"Content-Type": fault.kind, **fault.headers}))

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed or give up while they talk are part of the tests; mistakes of a server are told."""
        if not isinstance(sys.exception(), OSError):
            self.broken.append(traceback.format_exc())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Raises AssertionError if a client did what it must not."""
        self.let_go.set()
        self.shutdown()
        self.server_close()
        self._thread.join(LATE_S)
        assert error[0] or not self.broken, "\n".join(self.broken)


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError(f"the client left after {len(body)} of {length} bytes")
        self.server.respond(Request(self.command, self.path, self.headers, body, self))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET


class FolderServer(LoopbackServer):
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def finish_request(self, request: Any, client_address: Any) -> None:
        _File(request, client_address, self, directory=str(self.folder))


class _File(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
