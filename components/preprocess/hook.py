"""The model folder's own `features(rows)`: columns made from other rows, such as lags."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import InputError, OstinatoError
from training.folder import load_module
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

Features = Callable[["pl.LazyFrame"], "pl.LazyFrame"]

MODULE = "model"
HOOK = "features"


def with_features(rows: "pl.LazyFrame", spec: DataSpec, folder: Path) -> "pl.LazyFrame":
    """The rows after the hook, or the rows themselves if ``model.py`` defines none.

    The hook sees every row that the contract kept, on both sides of the split and ordered by time where there
    is one. It may add, change and drop columns and drop rows; target, time and key must keep name and type,
    the rows their order, and no row may appear. Nulls that it makes (the first rows of a lag) stay: the
    estimator handles them, or the hook drops those rows. Raises InputError with file, line and exception.
    """
    import polars as pl

    features = _find(folder)
    if features is None:
        return rows
    with blamed(folder):
        made = features(rows)
        if not isinstance(made, pl.LazyFrame):
            raise InputError(f"{_path(folder)}: features() returned {type(made).__name__}; it must return a LazyFrame")
        before, after = rows.collect_schema(), made.collect_schema()
    for role, name in (("target", spec.target), ("time", spec.time), ("key", spec.key)):
        if name and after.get(name) != before[name]:
            found = f"is {after[name]} after" if name in after else "is missing after"
            raise InputError(f"{_path(folder)}: the {role} {name!r} {found} features(); keep it as {before[name]}")
    return made


@contextmanager
def blamed(folder: Path) -> Iterator[None]:
    """Turn an exception that passed through the model's own code into an InputError that names file and line.

    Whatever that code raises is the user's to mend, so every exception is caught here; those that never
    touched it go on unchanged.
    """
    try:
        yield
    except OstinatoError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _path(folder)]
        if not lines:
            raise
        text = str(error).strip().split("\n")[0]
        raise InputError(f"{_path(folder)}, line {lines[-1]}: {type(error).__name__}: {text}") from error


def defined(folder: Path) -> bool:
    """Whether ``model.py`` may define the hook; looks at the text only, for its imports can take seconds."""
    path = Path(_path(folder))
    return path.is_file() and HOOK in path.read_text(encoding="utf-8")


def _find(folder: Path) -> Features | None:
    if not defined(folder):
        return None
    with blamed(folder):
        return getattr(load_module(folder, MODULE), HOOK, None)


def _path(folder: Path) -> str:
    return str(folder / f"{MODULE}.py")
