"""How much memory the requests in flight may take together, so that callers can't end the process.

A bound on one request is not enough: two that are allowed at once can be too much. So each request reserves what it may
come to before its body is read, and what does not fit is refused while the process still answers.
"""

import os
import re
import resource
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

FACTOR = 24
"""Memory that a request may take at its peak, in sizes of its body. `benchmarks/memory.py` measures it: 21 for JSON of
one-digit numbers, 20 of short decimals, 6 of long ones, 9 for binary data."""
CONTAINER = 40
"""Bytes besides for each list and object of JSON: an empty list is two bytes of a body, and 90 of memory."""
WORST_FACTOR = FACTOR + CONTAINER // 2
"""Of a body that is all lists."""
GRPC_FACTOR = 32
"""Of a gRPC message."""
USABLE = 0.8
"""Of what the limit leaves after loading; the rest is for answers on their way and for memory that is in pieces."""
LEAST = 16 * 2**20
"""Bytes for requests when nothing is left: what is small is answered all the same."""
GROUPS = Path("/sys/fs/cgroup")


class MemoryBudget:
    """size: bytes for all requests in flight. Not for several threads: all is done in the event loop's."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._reserved = 0

    def reserve(self, amount: int) -> bool:
        """Whether it fits now; then it is held until released."""
        if self._reserved + amount > self.size:
            return False
        self._reserved += amount
        return True

    def release(self, amount: int) -> None:
        self._reserved -= amount
        assert self._reserved >= 0


def measured_budget() -> int:
    """Bytes for requests in flight, from the process's limits less what it holds now."""
    left = min(limit - held for limit, held in _limits())
    return max(LEAST, int(left * USABLE))


def parse_budget(text: str) -> int:
    """Bytes, from a quantity as Kubernetes writes memory. Raises ArgumentTypeError."""
    number = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi)?", text)
    if number is None or not int(number[1]):
        raise ArgumentTypeError(f"{text!r} is no memory; write bytes, or such as 512Mi")
    return int(number[1]) * {None: 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[number[2]]


def _limits() -> Iterator[tuple[int, int]]:
    """Each limit in bytes, and what the process holds of it."""
    resident = _held("VmRSS")
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), resident
    for path in _group_files():
        text = path.read_text().strip() if path.is_file() else "max"
        if text != "max":
            yield int(text), resident
    for kind, held in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            yield limit, _held(held)


def _group_files() -> Iterator[Path]:
    """Where the control group's limit may be, version 2 and 1. In a container its own group is usually the root."""
    yield GROUPS / "memory.max"
    yield GROUPS / "memory" / "memory.limit_in_bytes"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield GROUPS / path.lstrip("/") / "memory.max"
        elif "memory" in controllers.split(","):
            yield GROUPS / "memory" / path.lstrip("/") / "memory.limit_in_bytes"


def _held(field: str) -> int:
    """Bytes, from /proc/self/status."""
    line = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert line
    return int(line[1]) * 1024
