"""A manifests repository with releases of a signed chain, and a working copy of it as a person has one."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.command_line import ROOT
from trust.chain import NAME, Chain, make_chain

from delivery.git.repository import ensure_local_repository
from delivery.releases.environments import commit_promotion
from delivery.releases.release import release
from delivery.trust.change import FileFinding, verify_change

MANIFEST = f"models/{NAME}/inferenceservice.yaml"
PRODUCTION = f"environments/production/{NAME}/inferenceservice.yaml"
Edit = dict[str, bytes | None]


@pytest.fixture(scope="module")
def released(keys: dict[str, Path], empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Versions 1 and 2 were released, 1 is in production, 3 is registered; all are signed."""
    home = tmp_path_factory.mktemp("released")
    shutil.copy(empty_store, home / "mlflow.db")
    (home / "served").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, path in keys.items():
            patch.setenv(name, str(path))
        repository = ensure_local_repository(home / "served" / "manifests.git", ROOT / "manifests")
        made = make_chain(home, f"sqlite:///{home}/mlflow.db", repository)
        for weight in (1, 2, 3):
            made.register(weight)
        for version in ("1", "2"):
            release(made.spec, made.place.connections, version, "direct")
            if version == "1":
                commit_promotion(made.place.remote, NAME)
    yield made


class Copy:
    """A working copy of the manifests repository, as a person has it."""

    def __init__(self, chain: Chain, folder: Path) -> None:
        self.chain, self.folder = chain, folder
        subprocess.run(["git", "clone", "--quiet", str(chain.place.manifests), str(folder)], check=True)

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def commit(self, files: Edit, message: str = "Edit") -> None:
        for path, content in files.items():
            if content is None:
                (self.folder / path).unlink()
            else:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_bytes(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def verify(self, commits: str = "origin/main..HEAD") -> dict[str, FileFinding]:
        found = verify_change(str(self.folder), commits, self.chain.place.connections)
        return {one.path: one for one in found}


@pytest.fixture
def copy(released: Chain, own_environment: None, tmp_path: Path) -> Copy:
    return Copy(released, tmp_path / "copy")
