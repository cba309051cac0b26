"""A proxy before a real server, where chance makes answers slow, turns them into 5xx, or cuts the connection."""

import http.client
import threading
from collections import Counter
from random import Random
from typing import Literal
from urllib.parse import urlsplit

from harness.loopback import LoopbackServer, Reply, Request

Weather = Literal["fair", "slow", "refused", "failed after", "cut before", "cut after", "cut within"]
BAD: tuple[Weather, ...] = ("slow", "refused", "failed after", "cut before", "cut after", "cut within")
"""refused: a 5xx, and the server never saw it. failed after: the server did it, but a 5xx is what comes back. cut
before, after: the connection ends before the server saw the request, or after it did what was asked. cut within: half
of the answer."""
SLOW_S = 0.4
UPSTREAM_S = 60.0
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


class BadWeather(LoopbackServer):
    """The proxy before ``upstream``. bad: share of the requests that something happens to.

    late: a path and a part of a body. The first request with both reaches the server only after ``let_go`` is set, when
    the client has long given up; then ``landed`` is set.
    """

    def __init__(self, upstream: str, chance: Random, bad: float) -> None:
        super().__init__()
        self.upstream = urlsplit(upstream)
        self.chance, self.bad = chance, bad
        self.seen: Counter[Weather] = Counter()
        self.closing = threading.Event()
        self.late: tuple[str, bytes] | None = None
        self.landed = threading.Event()

    def is_late(self, path: str, body: bytes) -> bool:
        with self.lock:
            late = self.late is not None and path.endswith(self.late[0]) and self.late[1] in body
            if late:
                self.late = None
            return late

    def next(self) -> tuple[Weather, int, float]:
        """What happens to the next request, the status of an error, and how slow it is."""
        with self.lock:
            weather: Weather = self.chance.choice(BAD) if self.chance.random() < self.bad else "fair"
            self.seen[weather] += 1
            return weather, self.chance.choice((500, 502, 503)), self.chance.uniform(0, SLOW_S)

    def answer(self, request: Request) -> Reply | None:
        if self.is_late(request.target, request.body):
            self.let_go.wait(UPSTREAM_S)
            self._forward(request)
            request.cut()
            self.landed.set()
            return None
        weather, status, seconds = self.next()
        if weather == "slow":
            self.closing.wait(seconds)
        if weather == "cut before":
            return request.cut()
        if weather == "refused":
            return error_page(status)
        reply = self._forward(request)
        if weather == "failed after":
            return error_page(status)
        if weather == "cut after":
            return request.cut()
        if weather == "cut within":
            half = reply.content[: len(reply.content) // 2]
            request.send(Reply(reply.status, half, {**reply.headers, "Content-Length": str(len(reply.content))}))
            return request.cut()
        return reply

    def _forward(self, request: Request) -> Reply:
        """What the server behind it answers."""
        upstream = self.upstream
        assert upstream.hostname
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=UPSTREAM_S)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
            connection.request(request.method, request.target, request.body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
        return Reply(answer.status, content, kept)

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        super().__exit__(*error)


def error_page(status: int) -> Reply:
    """As a load balancer says it: in HTML."""
    return Reply(status, f"<html><body><h1>{status}</h1></body></html>", {"Content-Type": "text/html"})
