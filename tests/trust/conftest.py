"""A signed chain and a place for releases, in an environment without the user's own settings."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.places import empty_store, manifests, own_environment, place, remote, three_versions, tracking_uri
from harness.servers import mlflow_server
from harness.signers import key_pair
from trust.chain import Chain, make_chain
from trust.working_copy import copy, released

from delivery.git.repository import ensure_local_repository
from delivery.releases.release import release

__all__ = [
    "copy",
    "empty_store",
    "manifests",
    "mlflow_server",
    "own_environment",
    "place",
    "released",
    "remote",
    "three_versions",
    "tracking_uri",
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signing(keys: dict[str, Path], own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that may sign and verifies."""
    for name, path in keys.items():
        monkeypatch.setenv(name, str(path))


@pytest.fixture
def chain(tmp_path: Path, tracking_uri: str, manifests: Path) -> Chain:
    """A checkout beside an empty registry and manifests repository; nothing is signed unless `signing` is asked for."""
    return make_chain(tmp_path, tracking_uri, manifests)


@pytest.fixture(scope="module")
def signed(keys: dict[str, Path], empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain whose version 1 is signed and live. Whoever changes it puts it back."""
    home = tmp_path_factory.mktemp("signed")
    (home / "store").mkdir()
    shutil.copy(empty_store, home / "store" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name, path in keys.items():
            patch.setenv(name, str(path))
        repository = ensure_local_repository(home / "manifests.git", ROOT / "manifests")
        made = make_chain(home, f"sqlite:///{home}/store/mlflow.db", repository)
        assert made.register() == "1"
        release(made.spec, made.place.connections, "1", "direct")
    yield made
