"""A proxy before a real server, where chance makes answers slow, turns them into 5xx, or cuts the connection."""

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Literal
from urllib.parse import urlsplit

Weather = Literal["fair", "slow", "refused", "failed after", "cut before", "cut after", "cut within"]
BAD: tuple[Weather, ...] = ("slow", "refused", "failed after", "cut before", "cut after", "cut within")
"""refused: a 5xx, and the server never saw it. failed after: the server did it, but a 5xx is what comes back. cut
before, after: the connection ends before the server saw the request, or after it did what was asked. cut within: half
of the answer."""
SLOW_S = 0.4
UPSTREAM_S = 60.0
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


class BadWeather(ThreadingHTTPServer):
    """The proxy. bad: share of the requests that something happens to.

    late: a path and a part of a body. The first request with both reaches the server only after ``let_go`` is set, when
    the client has long given up; then ``landed`` is set.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, chance: Random, bad: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.chance, self.bad = chance, bad
        self.seen: Counter[Weather] = Counter()
        self.guard = threading.Lock()
        self.closing = threading.Event()
        self.late: tuple[str, bytes] | None = None
        self.let_go, self.landed = threading.Event(), threading.Event()

    def is_late(self, path: str, body: bytes) -> bool:
        with self.guard:
            late = self.late is not None and path.endswith(self.late[0]) and self.late[1] in body
            if late:
                self.late = None
            return late

    def next(self) -> tuple[Weather, int, float]:
        """What happens to the next request, the status of an error, and how slow it is."""
        with self.guard:
            weather: Weather = self.chance.choice(BAD) if self.chance.random() < self.bad else "fair"
            self.seen[weather] += 1
            return weather, self.chance.choice((500, 502, 503)), self.chance.uniform(0, SLOW_S)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are part of the weather."""


class _Handler(BaseHTTPRequestHandler):
    server: BadWeather  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.is_late(self.path, body):
            self.server.let_go.wait(UPSTREAM_S)
            self._forward(body, "cut after", 0)
            self.server.landed.set()
            return
        weather, status, seconds = self.server.next()
        if weather == "slow":
            self.server.closing.wait(seconds)
        if weather == "cut before":
            self._cut()
        elif weather == "refused":
            self._error(status)
        else:
            self._forward(body, weather, status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _forward(self, body: bytes, weather: Weather, status: int) -> None:
        upstream = self.server.upstream
        assert upstream.hostname
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=UPSTREAM_S)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if weather == "cut after":
            self._cut()
        elif weather == "failed after":
            self._error(status)
        else:
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OWN]
            self._answer(answer.status, [*kept, ("Content-Length", str(len(content)))], content, weather)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, weather: Weather) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content if weather != "cut within" else content[: len(content) // 2])
        if weather == "cut within":
            self._cut()

    def _error(self, status: int) -> None:
        """As a load balancer says it: in HTML."""
        page = f"<html><body><h1>{status}</h1></body></html>".encode()
        self._answer(status, [("Content-Type", "text/html"), ("Content-Length", str(len(page)))], page, "fair")

    def _cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_weather(upstream: str, chance: Random, bad: float) -> Iterator[BadWeather]:
    """The proxy before ``upstream``, as long as the context lasts."""
    proxy = BadWeather(upstream, chance, bad)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.let_go.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join(UPSTREAM_S)
