"""Servers on real sockets that do what an endpoint should not: end connections, wait, answer with rubbish."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

DESCRIBED = {"name": "shop", "inputs": [{"name": "price", "datatype": "FP64", "shape": [-1]}]}
Answer = Callable[[BaseHTTPRequestHandler], None]
Server = TypeVar("Server", bound="LoopbackServer")


def says(status: int, content: Any, kind: str = "application/json") -> Answer:
    """An answer with a body: text as it is, else JSON."""

    return lambda handler: send(handler, status, content, kind)


def send(handler: BaseHTTPRequestHandler, status: int, content: Any, kind: str) -> None:
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def forecasts(*values: Any) -> Answer:
    return says(200, {"outputs": [{"name": "predict", "datatype": "FP64", "shape": [len(values)], "data": values}]})


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def is_cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"outputs": [')
    handler.close_connection = True


@contextmanager
def odd_server(*answers: Answer, described: Sequence[Answer] = (says(200, DESCRIBED),)) -> Iterator["OddServer"]:
    """A server that gives these answers to inferences, and those to requests for the description; the last for ever."""
    with running(OddServer(answers, described)) as server:
        yield server


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server in a thread; at the end nobody waits any longer."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


class LoopbackServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.let_go = threading.Event()
        """Set when the server goes down: what hangs until then waits for it."""
        self.url = f"http://127.0.0.1:{self.server_port}"


class OddServer(LoopbackServer):
    def __init__(self, answers: Sequence[Answer], described: Sequence[Answer]) -> None:
        super().__init__(_Handler)
        self.answers = {"POST": list(answers), "GET": list(described)}
        self.bodies: list[Any] = []
        """Of the inferences that were asked for."""

    def hangs(self, handler: BaseHTTPRequestHandler) -> None:
        """An answer that does not come while the server is up."""
        self.let_go.wait()
        handler.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(json.loads(body))
        self._answer()

    def _answer(self) -> None:
        left = self.server.answers[self.command]
        (left.pop(0) if len(left) > 1 else left[0])(self)
