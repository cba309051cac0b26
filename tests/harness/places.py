"""Places for releases: manifests, a registry, and an environment without the user's own settings; all fixtures."""

import os
import shutil
from pathlib import Path

import pytest
from harness.candidates import bare_git
from harness.command_line import ROOT
from harness.registered import Place

from delivery.git.repository import ensure_local_repository


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("OSTINATO_CRASH", "OSTINATO_GIT", "MLFLOW_", "GIT_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A bare manifests repository as the first run makes it, which a git server may be pushed to for."""
    return writable_repository(tmp_path / "served" / "manifests.git")


def writable_repository(path: Path) -> Path:
    repository = ensure_local_repository(path, ROOT / "manifests")
    bare_git(repository, "config", "http.receivepack", "true")
    return repository


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow store that nothing is registered in."""
    from delivery.registry.mlflow import mlflow_client

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow_client(f"sqlite:///{file}")
    return file


@pytest.fixture
def tracking_uri(tmp_path: Path, empty_store: Path) -> str:
    """A SQLite registry of the test's own."""
    file = tmp_path / ".ostinato" / "mlflow.db"
    file.parent.mkdir()
    shutil.copy(empty_store, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def three_versions(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a store in which `bike-demand` has versions 1 to 3."""
    home = tmp_path_factory.mktemp("versions")
    shutil.copy(empty_store, home / "mlflow.db")
    registry = Place(f"sqlite:///{home}/mlflow.db", home, "", home)
    assert [registry.register(weight) for weight in (1, 2, 3)] == ["1", "2", "3"]
    return home / "mlflow.db"


@pytest.fixture
def remote(manifests: Path) -> str:
    """How a release names the manifests repository."""
    return str(manifests)


@pytest.fixture
def place(three_versions: Path, manifests: Path, remote: str, tmp_path: Path) -> Place:
    """A SQLite registry with versions 1 to 3 of `bike-demand`, and a manifests repository in which nothing is live."""
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(three_versions, work / "mlflow.db")
    return Place(f"sqlite:///{work}/mlflow.db", manifests, remote, work)
