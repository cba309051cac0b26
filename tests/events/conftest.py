"""The entry point over a real socket."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from events.senders import AUDIENCE, MODELS, SENDER, Engine, Google, Point, Start
from harness.servers import free_port

from pipelines.events.access import Access
from pipelines.events.app import make_app


@pytest.fixture(scope="session")
def google_server() -> Iterator[Google]:
    with Google() as google:
        yield google


@pytest.fixture
def start(google_server: Google) -> Iterator[Start]:
    """Start an entry point over an engine; two over one are two instances."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []
    google_server.status = 200

    def begin(engine: Engine) -> Point:
        log: list[dict[str, Any]] = []
        allowed = Access(AUDIENCE, (SENDER,), "mlflow secret", "drift secret", google_server.url)
        port = free_port()
        app = make_app(engine.submit, MODELS, allowed, log.append)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, "the entry point did not start"
            thread.join(0.01)
        return Point(f"http://127.0.0.1:{port}", engine, log, google_server)

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def point(start: Start) -> Point:
    return start(Engine())
