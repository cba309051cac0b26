"""`ostinato serve` in a process, for tests."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.command_line import ROOT, environment
from harness.servers import free_port
from harness.two_versions import MODEL, Shop

WAIT_S = 60.0
"""Far above what a version takes to come up (3 s on a quiet machine of two cores), so that only a hang fails."""


def plain_rows(shop: Shop) -> list[dict[str, Any]]:
    """The rows as an application has them, None where a value is missing."""
    return shop.rows.astype(object).where(shop.rows.notna(), None).to_dict("records")


class Following:
    """A server that git or the registry decides on."""

    def __init__(self, shop: Shop, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.shop = shop
        self.process = process
        self.url = url
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_until_said(self, pattern: str, times: int = 1) -> None:
        wait_until(lambda: len(re.findall(pattern, self.said)) >= times, f"{pattern!r} in:\n{self._log}", self.process)

    def replicas(self) -> list[int]:
        done = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]


def wait_until(true: Callable[[], object], what: str, process: subprocess.Popen[str] | None = None) -> None:
    """Return when ``true()`` is; fail after a bound, or when the process has ended."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, f"waited {WAIT_S:g} s for {what}"
        assert process is None or process.poll() is None, f"ended while waiting for {what}"
        threading.Event().wait(0.05)


@contextmanager
def following(shop: Shop, log: Path, option: str = "--follow") -> Iterator[Following]:
    """A server that has answered; it is ended at the end of the block."""
    port = free_port()
    with log.open("w") as out:
        process = subprocess.Popen(
            shop.command("serve", MODEL, "--port", str(port), option),
            cwd=ROOT,
            env=environment(shop.root),
            stdout=out,
            stderr=out,
            text=True,
        )
    try:
        found = Following(shop, process, f"http://127.0.0.1:{port}", log)
        found.wait_until_said("(?m)^curl")
        yield found
    finally:
        process.terminate()
        process.wait(WAIT_S)
