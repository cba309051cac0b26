"""A model's folder: where it is, its spec, and its own code."""

import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from training.errors import InputError, OstinatoError, did_you_mean
from training.spec import ModelSpec, load_spec

NAME = re.compile(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?")


def workspace_root() -> Path:
    """The nearest folder at or above the current one that has a ``training/`` folder.

    ``OSTINATO_WORKSPACE`` overrides the search. Raises InputError if there is none.
    """
    given = os.environ.get("OSTINATO_WORKSPACE")
    start = Path(given) if given else Path.cwd()
    for folder in [start] if given else [start, *start.parents]:
        if (folder / "training").is_dir():
            return folder.resolve()
    raise InputError(
        f"no training/ folder at {start}{'' if given else ' or above it'}; "
        "run from a checkout, or set OSTINATO_WORKSPACE to one"
    )


def check_name(name: str) -> str:
    """The name itself. Raises InputError unless it is safe as a folder, a branch and a Kubernetes name."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"model name {name!r} is not allowed: use 1 to 48 lower-case letters, digits and hyphens, "
            "starting with a letter, such as demand-forecaster"
        )
    return name


def model_names(root: Path) -> list[str]:
    """Names of all models of the workspace, sorted."""
    return sorted(path.parent.name.replace("_", "-") for path in (root / "training").glob("*/spec.yaml"))


def model_folder(root: Path, name: str) -> Path:
    """The folder of a model. Raises InputError for a bad or unknown name."""
    folder = root / "training" / check_name(name).replace("-", "_")
    if not (folder / "spec.yaml").is_file():
        hint = did_you_mean(name, model_names(root))
        raise InputError(f"there is no model {name!r} ({folder / 'spec.yaml'} does not exist). {hint}")
    return folder


def model_spec(root: Path, name: str) -> ModelSpec:
    """The spec of a model. Raises InputError if it is wrong or names another model than its folder."""
    folder = model_folder(root, name)
    spec = load_spec(folder / "spec.yaml")
    if spec.name != name:
        raise InputError(
            f"{folder / 'spec.yaml'}: name is {spec.name!r}, but the folder is for {name!r}; make them equal"
        )
    return spec


@contextmanager
def running_code_of(folder: Path) -> Iterator[None]:
    """While a model's own code runs: whatever it raises becomes one OstinatoError with its file and line."""
    try:
        yield
    except OstinatoError:
        raise
    except Exception as error:  # the boundary to code that is not ours
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))
        ]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(folder)
        traceback.print_exc()
        raise OstinatoError(f"the model's code failed at {where}: {type(error).__name__}: {error}") from error


def load_module(folder: Path, module: str = "model") -> ModuleType:
    """Import ``<folder>/<module>.py`` afresh. Raises InputError if it is missing or does not import."""
    path = folder / f"{module}.py"
    if not path.is_file():
        raise InputError(f"{path} does not exist; training.entry_point names it")
    name = f"training.{folder.name}.{module}"
    source = importlib.util.spec_from_file_location(name, path)
    assert source and source.loader
    loaded = importlib.util.module_from_spec(source)
    sys.modules[name] = loaded
    try:
        source.loader.exec_module(loaded)
    except (ImportError, SyntaxError, NameError, AttributeError) as error:
        raise InputError(f"{path} does not import: {type(error).__name__}: {error}") from error
    return loaded
