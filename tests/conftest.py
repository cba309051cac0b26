"""What every test may use: a workspace of its own, and the command line as a user runs it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OSTINATO = Path(sys.executable).parent / "ostinato"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end."""

    code: int
    out: str
    err: str


def environment(workspace: Path, **extra: str) -> dict[str, str]:
    """The environment of a user who has set nothing of ours."""
    ours = ("OSTINATO_", "MLFLOW_", "GIT_AUTHOR", "GIT_COMMITTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # Two tests at once on two cores: OpenMP threads that wait for each other make a fit ten times slower.
    return {**kept, "OSTINATO_WORKSPACE": str(workspace), "COLUMNS": "120", "OMP_NUM_THREADS": "1", **extra}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout with the demand forecaster and nothing run yet."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "training" / "demand_forecaster", root / "training" / "demand_forecaster")
    shutil.copytree(ROOT / "manifests", root / "manifests")
    return root


def run_ostinato(root: Path, *arguments: str, timeout: float = 180, **extra: str) -> Finished:
    """Run the command line in a workspace to its end."""
    done = subprocess.run(
        [str(OSTINATO), *arguments],
        cwd=root,
        env=environment(root, **extra),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def ostinato(workspace: Path) -> Callable[..., Finished]:
    """Runs the command line in the workspace: ``ostinato("run", "demand-forecaster", expect=0)``."""

    def run(*arguments: str, expect: int | None = None, timeout: float = 180, **extra: str) -> Finished:
        finished = run_ostinato(workspace, *arguments, timeout=timeout, **extra)
        if expect is not None:
            assert finished.code == expect, f"exit {finished.code}\n{finished.out}\n{finished.err}"
        return finished

    return run
