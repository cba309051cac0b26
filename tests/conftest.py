"""What every test may use: a workspace of its own, and the command line as a user runs it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import ROOT, Finished, run_ostinato


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout with the demand forecaster and nothing run yet."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "training" / "demand_forecaster", root / "training" / "demand_forecaster")
    shutil.copytree(ROOT / "manifests", root / "manifests")
    return root


@pytest.fixture
def ostinato(workspace: Path) -> Callable[..., Finished]:
    """Runs the command line in the workspace: ``ostinato("run", "demand-forecaster", expect=0)``."""

    def run(*arguments: str, expect: int | None = None, timeout: float = 180, **extra: str) -> Finished:
        finished = run_ostinato(workspace, *arguments, timeout=timeout, **extra)
        if expect is not None:
            assert finished.code == expect, f"exit {finished.code}\n{finished.out}\n{finished.err}"
        return finished

    return run
