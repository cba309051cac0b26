"""A real git history of a checkout, for what a change is about."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
KEPT = ("components", "delivery", "pipelines", "training", "manifests", "requirements.lock", "requirements-llm.lock")
OURS = "training/demand_forecaster"


@dataclass(frozen=True)
class History:
    """A checkout whose first commit is `base`."""

    root: Path

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *WHO, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new, 1))

    def append(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((file.read_text() if file.is_file() else "") + text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "a change")


@pytest.fixture(scope="session")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("first") / "checkout"
    root.mkdir()
    for name in KEPT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    history = History(root)
    history.git("init", "--quiet", "-b", "main")
    history.commit()
    history.git("tag", "base")
    return root


@pytest.fixture
def history(first_commit: Path, tmp_path: Path) -> Iterator[History]:
    root = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(first_commit), str(root)], check=True)
    yield History(root)
