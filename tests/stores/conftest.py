"""What tests of model folders in stores may use: a tiny base model, and a workspace to fetch it into."""

import shutil
from pathlib import Path

import pytest
from harness.tiny_models import tiny_model

from delivery.stores.base_model import fetch_base_model
from training.spec import BaseModelSpec


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model", ["a b c", "which way"], hidden=16, layers=1)


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage, in a model's own folder."""
    return Path(shutil.copytree(tiny, tmp_path / "training" / "guide" / "base"))


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "training" / "guide").mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path))
    monkeypatch.delenv("OSTINATO_BASE_MODELS", raising=False)
    return tmp_path / "training" / "guide"


def fetch(source: str, workspace: Path, **more: str) -> Path:
    return fetch_base_model(BaseModelSpec(source=source, **more), workspace)  # pyright: ignore[reportArgumentType]
