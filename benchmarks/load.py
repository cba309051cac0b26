"""A load that costs little: requests written out once, sent over plain sockets by one thread.

It shares the processors with the server that it measures, so what it takes is missing there. An HTTP client of
Python's takes a third of a millisecond a request, as much as a small model's server; this takes a tenth of that.
"""

import os
import selectors
import socket
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Load:
    """What a server did under load."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """User and system time of the server's process for one request."""
    client_cpu_ms: float
    """Of this process, for one request."""


@dataclass
class _Connection:
    socket: socket.socket
    began: float = 0.0
    received: bytes = b""
    times: list[float] = field(default_factory=list)


def load(port: int, pid: int, path: str, body: bytes, concurrency: int, seconds: float) -> Load:
    """Ask again on every connection as soon as it is answered, for the given time.

    Raises RuntimeError for an answer that is not 200, ConnectionError when the server closes a connection.
    """
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    selector = selectors.DefaultSelector()
    connections = [_Connection(socket.create_connection(("127.0.0.1", port))) for _ in range(concurrency)]
    for one in connections:
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one.socket, selectors.EVENT_READ, one)
    server_before, own_before, began = cpu_seconds(pid), time.process_time(), time.perf_counter()
    for one in connections:
        _send(one, request)
    end, waiting = began + seconds, concurrency
    while waiting:
        for key, _ in selector.select():
            one = key.data
            one.received += one.socket.recv(65536)
            if not _whole(one.received):
                continue
            now = time.perf_counter()
            one.times.append(now - one.began)
            if now < end:
                _send(one, request)
            else:
                waiting -= 1
                selector.unregister(one.socket)
                one.socket.close()
    took = time.perf_counter() - began
    times = [one for part in connections for one in part.times]
    cuts = statistics.quantiles(times, n=100)
    return Load(
        per_second=len(times) / took,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        cpu_ms=(cpu_seconds(pid) - server_before) / len(times) * 1000,
        client_cpu_ms=(time.process_time() - own_before) / len(times) * 1000,
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, in steps of a clock tick (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _send(one: _Connection, request: bytes) -> None:
    one.received, one.began = b"", time.perf_counter()
    one.socket.sendall(request)


def _whole(received: bytes) -> bool:
    """Whether this is a complete answer."""
    if not received:
        raise ConnectionError("the server closed the connection")
    head, ended, content = received.partition(b"\r\n\r\n")
    if not ended:
        return False
    lowered = head.lower()
    if not lowered.startswith(b"http/1.1 200"):
        raise RuntimeError(f"answered {received[:500]!r}")
    length = lowered.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(content) == int(length)
