"""A cluster's part in a roll-out: a balancer that learns late that a pod ends, and a kubelet that ends it."""

import http.client
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.command_line import ROOT
from harness.servers import free_port, wait_until_ready

LATE_S = 1.0
"""How long a pod that ends still gets requests; 0.6 to 0.9 s was measured on a real cluster."""
CALLERS = 4
ANSWER_S = 30.0


@dataclass(frozen=True)
class Draining:
    """What the manifest says of a pod's end, in seconds."""

    wait_s: float
    lives_s: float


def draining_of(predictor: Mapping[str, Any]) -> Draining:
    wait = predictor["model"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    return Draining(wait, predictor["terminationGracePeriodSeconds"])


class Pod:
    """A real process of our server at an address of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "delivery.serving.server.server", f"--model_dir={folder}"]
        command += [f"--model_name={name}", f"--http_port={self.port}"]
        self.process = subprocess.Popen(command, cwd=ROOT, text=True)
        wait_until_ready(f"{self.url}/v2/health/ready", self.process)

    def end(self, draining: Draining) -> int:
        """As the kubelet does: preStop, SIGTERM, and SIGKILL when the grace period is over. Gives the exit code."""
        began = time.monotonic()
        threading.Event().wait(draining.wait_s)
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(draining.lives_s - (time.monotonic() - began))
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Balancer:
    """Sends each request to one of its addresses in turn, on connections that are kept, as a gateway does."""

    def __init__(self, *ports: int) -> None:
        self._ports = list(ports)
        self._lock = threading.Lock()
        self._turn = 0
        self._connections = threading.local()

    def add(self, port: int) -> None:
        with self._lock:
            self._ports.append(port)

    def remove_late(self, port: int) -> None:
        threading.Timer(LATE_S, self._remove, [port]).start()

    def _remove(self, port: int) -> None:
        with self._lock:
            self._ports.remove(port)

    def _next(self) -> int:
        with self._lock:
            self._turn += 1
            return self._ports[self._turn % len(self._ports)]

    def post(self, path: str, body: bytes) -> tuple[int, int]:
        """The port that was asked and the status; 0 for a request without an answer."""
        port, kept = self._next(), vars(self._connections)
        connection = kept.setdefault(str(port), http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S))
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            return port, response.status
        except (OSError, http.client.HTTPException):
            kept.pop(str(port)).close()
            return port, 0


class Load:
    """Callers that ask without a pause until they are told to end, and at least so many times."""

    def __init__(self, balancer: Balancer, path: str, body: bytes, at_least: int) -> None:
        self._ask = lambda: balancer.post(path, body)
        self._at_least = at_least
        self._ends = threading.Event()
        self._counting = threading.Condition()
        self.answers: Counter[tuple[int, int]] = Counter()
        """How many requests by port and status."""
        self._callers = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def _call(self) -> None:
        while not (self._ends.is_set() and self.answers.total() >= self._at_least):
            answer = self._ask()
            with self._counting:
                self.answers[answer] += 1
                self._counting.notify_all()

    def wait_for(self, count: int) -> None:
        with self._counting:
            assert self._counting.wait_for(lambda: self.answers.total() >= count, ANSWER_S)

    @contextmanager
    def running(self) -> Iterator[None]:
        for caller in self._callers:
            caller.start()
        try:
            yield
        finally:
            self._ends.set()
            for caller in self._callers:
                caller.join()

    def lost(self) -> int:
        return sum(count for (_, status), count in self.answers.items() if status != 200)
