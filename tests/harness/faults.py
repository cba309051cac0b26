"""How servers on loopback go wrong: another answer, one that is cut off, none in time, once or several times."""

import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATE_S = 30.0


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind; with ``done`` only after the thing was done."""

    method: str
    ends: str
    status: int = 0
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    late: bool = False
    done: bool = False
    times: int = 1


class FaultyServer(ThreadingHTTPServer):
    """Keeps the faults that are to come. broken: every message that the contract does not have."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.faults: list[Fault] = []
        self.broken: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.let_go = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are part of the tests."""

    def next_fault(self, method: str, path: str) -> Fault | None:
        """The first one that is meant for the request, which it uses up."""
        fault = next((one for one in self.faults if one.method == method and path.endswith(one.ends)), None)
        if fault:
            fault.times -= 1
            if not fault.times:
                self.faults.remove(fault)
        return fault

    def serve(self) -> threading.Thread:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        return thread

    def end(self, thread: threading.Thread) -> None:
        """Raises AssertionError if a message broke the contract."""
        self.let_go.set()
        self.shutdown()
        self.server_close()
        thread.join(LATE_S)
        assert self.broken == []


class FaultyHandler(BaseHTTPRequestHandler):
    """Answers, or goes wrong as it is told."""

    server: FaultyServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def deliver(self, fault: Fault | None, status: int, answer: bytes) -> None:
        if fault is None:
            self.send(status, answer, {"Content-Type": "application/json"})
        elif fault.late:
            self.server.let_go.wait(LATE_S)
            self.close_connection = True
        elif fault.cut:
            self.send_response(200)
            self.send_header("Content-Length", "4096")
            self.end_headers()
            self.wfile.write(b'{"begun')
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.send(fault.status, fault.body, {"Content-Type": fault.kind, **fault.headers})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
