"""The key of a step covers every file that it really opens, and changes with each file that decides it alone."""

import os
from collections.abc import Callable, Iterator
from importlib.util import source_from_cache
from pathlib import Path

import polars as pl
import pytest
import yaml

from delivery.git.repository import ensure_local_repository
from pipelines.backends.local import run_package
from pipelines.continuous_training import compile_package
from pipelines.package.imports import FLOORS, PROJECT, Sources
from pipelines.package.step_code import CACHED, step_code, step_files
from pipelines.scaffold.table import create_model
from training.folder import model_spec

MODEL = "flat-rent"
NOT_CODE = {
    "training/flat_rent/spec.yaml": "its parts are parameters of the steps",
    "training/flat_rent/data/flats.csv": "its content is the data's fingerprint",
}
HOOK = """
import json
from pathlib import Path

from common.prices import scaled

FACTOR = json.loads((Path(__file__).parent / "lookup.json").read_text())["factor"]


def features(rows):
    return scaled(rows, FACTOR)
"""
HELPER = """
from pathlib import Path

UNIT = float((Path(__file__).parent / "unit.txt").read_text())


def scaled(rows, factor):
    import polars as pl

    return rows.with_columns(pl.col("rooms") * factor * UNIT)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a model whose code reads a file of its own and imports a package of the workspace."""
    root = tmp_path / "workspace"
    (root / "training").mkdir(parents=True)
    (root / "common").mkdir()
    rooms = [i % 5 + 1 for i in range(400)]
    flats = pl.DataFrame({"flat": range(400), "rooms": rooms, "rent": [200.0 * n + i % 7 for i, n in enumerate(rooms)]})
    flats.write_csv(tmp_path / "flats.csv")
    folder = create_model(root, MODEL, "regression", tmp_path / "flats.csv", "rent", None, "flat")
    (folder / "model.py").write_text((folder / "model.py").read_text() + HOOK)
    (folder / "lookup.json").write_text('{"factor": 1.0}')
    (root / "common" / "__init__.py").touch()
    (root / "common" / "prices.py").write_text(HELPER)
    (root / "common" / "unit.txt").write_text("1.0")
    return root


def changed(root: Path, change: Callable[[], object]) -> set[str]:
    before = step_code(root, model_spec(root, MODEL))
    change()
    after = step_code(root, model_spec(root, MODEL))
    return {step for step in CACHED if before[step] != after[step]}


@pytest.mark.parametrize("name", ["training/flat_rent/lookup.json", "common/prices.py", "common/unit.txt"])
def test_what_the_models_code_reads_and_imports_prepares_and_trains_again(root: Path, name: str) -> None:
    path = root / name
    assert changed(root, lambda: path.write_text(path.read_text() + "\n")) == {"preprocess", "train"}


@pytest.mark.parametrize("name", ["README.md", ".notes", "__pycache__/model.pyc", "data/flats.csv", "spec.yaml"])
def test_what_decides_otherwise_or_nothing_is_no_code(root: Path, name: str) -> None:
    path = root / "training" / "flat_rent" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert changed(root, lambda: path.write_text(path.read_text() + "\n")) == set()


def test_an_unused_package_of_the_workspace_decides_nothing(root: Path) -> None:
    assert changed(root, lambda: (root / "common" / "others.py").write_text("import json\n")) == set()


def test_a_step_is_decided_by_what_it_imports_and_by_no_more(root: Path) -> None:
    spec, sources = model_spec(root, MODEL), Sources(root)
    files = {step: set(step_files(root, spec, step, sources)) for step in (*CACHED, "deploy")}
    assert "delivery/models/onnx/parity.py" in files["train"]
    assert "components/evaluate/table/page.html.j2" in files["evaluate"]
    assert "delivery/serving/server/server.py" in files["evaluate"], "started by its name"
    for name in ("delivery/releases/release.py", "delivery/kserve/render.py", "training/finetuning/trainer.py"):
        assert not [step for step in CACHED if name in files[step]], name
    assert "delivery/releases/release.py" in files["deploy"]


def test_the_key_covers_every_file_that_a_step_opens(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "opened"
    log.mkdir()
    monkeypatch.setenv("OPENED_FILES", str(log))
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(root))
    path = (str(Path(__file__).with_name("opened")), str(root), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    spec, sources = model_spec(root, MODEL), Sources(root)
    package = compile_package(spec, step_code(root, spec), "ostinato", until="evaluate")
    run = tmp_path / "run"
    # Fresh processes: a forked one has its modules from the engine.
    ensure_local_repository(tmp_path / "manifests.git", PROJECT / "manifests")
    arguments = {"manifests_remote": str(tmp_path / "manifests.git"), "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    run_package(yaml.safe_load(package), arguments=arguments, run_dir=run, cache_dir=None, start_method="spawn")

    by_step = {step: paths for paths in opened(log) if (step := step_of(paths, run)) in CACHED}
    assert set(by_step) == set(CACHED)
    for step, paths in by_step.items():
        names = {name for path in paths if (name := of_project(path, root))}
        key = step_files(root, spec, step, sources)
        assert names - set(key) - set(NOT_CODE) == set(), step
    assert "training/flat_rent/lookup.json" in {of_project(path, root) for path in by_step["train"]}


def opened(log: Path) -> Iterator[set[Path]]:
    """The files that each session has opened; the source of a compiled one."""
    for file in log.iterdir():
        paths = {Path(line) for line in file.read_text().splitlines()}
        yield {
            Path(source_from_cache(path)) if path.suffix == ".pyc" and "__pycache__" in path.parts else path
            for path in paths
        }


def step_of(paths: set[Path], run: Path) -> str:
    """The step whose attempt a session was: it wrote its result."""
    results = [path for path in paths if path.name.startswith((".result", "result")) and path.is_relative_to(run)]
    return results[0].relative_to(run).parts[0] if results else ""


def of_project(path: Path, root: Path) -> str:
    """The name of a file of the workspace or the project; "" for others, and for the engine's own."""
    if path.is_relative_to(root) and ".ostinato" not in path.parts:
        return path.relative_to(root).as_posix() if path.is_file() else ""
    name = path.relative_to(PROJECT).as_posix() if path.is_relative_to(PROJECT) else ""
    return name if name.partition("/")[0] in FLOORS and not name.startswith("pipelines/") else ""
