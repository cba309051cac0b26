"""Two versions of a small model to serve, and a served model for the clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.two_versions import MODEL, Shop, make_shop

from delivery.serving.process.process import RunningServer, serving


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A workspace with versions 1 and 2 registered and version 1 live."""
    return make_shop(tmp_path_factory.mktemp("shop") / "checkout")


@pytest.fixture
def shop(registered: Shop, tmp_path: Path) -> Shop:
    """The same in a workspace of the test's own."""
    return registered.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def endpoint(registered: Shop) -> Iterator[RunningServer]:
    """Version 1 over REST and gRPC, without a pipeline around it."""
    with serving(registered.root / "work" / "1" / "model", MODEL) as served:
        yield served
