"""One address, and the model version that answers there: `--follow` lets the one take over that git says is live."""

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from delivery.kserve.manifest import LiveModel
from delivery.releases.follow import Watch
from delivery.serving.process.replica import Replica
from delivery.stores.fetch import fetch_model
from training.errors import InputError, OstinatoError

POLL_S = 2.0
"""How often git is looked at."""
BACKLOG = 1024
"""Connections that may wait while a version starts again."""


@dataclass(frozen=True)
class Choice:
    """A model version, and where its files are."""

    version: str
    storage_uri: str
    digest: str
    runtime: str
    protocol: str
    tracking_uri: str = ""
    """Of the registry that the URI comes from; "" for one from a manifest."""

    @classmethod
    def of(cls, manifest: LiveModel) -> Self:
        return cls(manifest.version, manifest.storage_uri, manifest.digest, manifest.runtime, manifest.protocol)


class Post:
    """One address, and the version that answers there; another one takes over by :meth:`put`."""

    def __init__(self, name: str, listener: socket.socket) -> None:
        self._name = name
        self._listener = listener
        self._scratch = tempfile.TemporaryDirectory(prefix="ostinato-serve-", ignore_cleanup_errors=True)
        self._replica: Replica | None = None
        self.folder = Path()
        self.serving: Choice | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._replica:
            self._replica.stop()
        self._scratch.cleanup()

    def put(self, chosen: Choice) -> None:
        """Let the version take over when it has answered an inference; the one before answers what it has, and ends.

        Raises OstinatoError if the version does not come so far; the one before goes on then.
        """
        from delivery.serving.server.signature import example_rows

        folder = Path(tempfile.mkdtemp(dir=self._scratch.name))
        where = (chosen.storage_uri, chosen.digest, folder, chosen.tracking_uri)
        fetch_model(self._name, chosen.version, *where)
        replica = Replica(folder, self._name)
        try:
            replica.prove(example_rows(folder))
            replica.take_over(self._listener)
        except BaseException:
            replica.stop()
            raise
        before, left = self._replica, self.folder
        self._replica, self.folder, self.serving = replica, folder, chosen
        if before:
            before.retire()
            shutil.rmtree(left)

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code of the server that ended. Raises subprocess.TimeoutExpired if it goes on."""
        assert self._replica is not None
        return self._replica.process.wait(timeout_s)


class Follower:
    """Keeps what git says is live at the post. What keeps it from that is told, once, and the version there goes on."""

    def __init__(self, post: Post, watch: Watch) -> None:
        self._post = post
        self._watch = watch
        self._told = ""

    def step(self) -> None:
        """Wait a moment; start the version again if it has ended; look at git, and do what it says."""
        now = self._post.serving
        assert now is not None
        try:
            code = self._post.wait(POLL_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            self._tell(f"version {now.version} ended with exit code {code}; starting it again")
            time.sleep(POLL_S)
            self._put(now, "callers wait until it does")
        try:
            manifest = self._watch.poll()
        except OstinatoError as error:
            self._tell(f"version {now.version} goes on: {error}")
            return
        if manifest and Choice.of(manifest) != now:
            self._put(Choice.of(manifest), f"version {now.version} goes on until git changes")

    def _put(self, chosen: Choice, otherwise: str) -> None:
        try:
            self._post.put(chosen)
        except OstinatoError as error:
            self._tell(f"version {chosen.version} did not come up, {otherwise}: {error}")
        else:
            self._told = ""
            print(f"version {chosen.version} answers now", flush=True)

    def _tell(self, text: str) -> None:
        if text != self._told:
            tell(text)
        self._told = text


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """The address that every version answers at. Raises InputError if another process has it."""
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(
            f"--port {port} can't be had on this machine ({os.strerror(error.errno)}); give another"
        ) from error
    with listener:
        yield listener


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, and neither is an error."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
