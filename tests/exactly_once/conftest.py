"""The places of a release; scratch folders of killed processes stay inside the test's own folder."""

import tempfile
from pathlib import Path

import pytest
from exactly_once.invariants import World
from harness.places import empty_store, manifests, own_environment, tracking_uri
from harness.servers import GitServer, git_server, mlflow_server

from delivery.registry.mlflow import mlflow_client

__all__ = ["empty_store", "git_server", "manifests", "mlflow_server", "own_environment", "tracking_uri"]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))


@pytest.fixture
def served_remote(manifests: Path, git_server: GitServer) -> str:
    """The manifests repository over HTTP."""
    return git_server.url_of(manifests)


@pytest.fixture
def laptop(tracking_uri: str, manifests: Path) -> World:
    """A SQLite registry and a local manifests repository."""
    return World(tracking_uri, str(manifests), manifests)


@pytest.fixture
def served(mlflow_server: str, manifests: Path, served_remote: str) -> World:
    """A real MLflow server, which all tests share, and a manifests repository over HTTP."""
    mlflow_client(mlflow_server)
    return World(mlflow_server, served_remote, manifests)
