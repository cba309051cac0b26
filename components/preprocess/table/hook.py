"""The model folder's own `features(rows)`: columns made from other rows, such as lags."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType as Features
from typing import TYPE_CHECKING

from components.preprocess.table.scan import system_said
from training.errors import InputError, OstinatoError
from training.folder import load_module
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

MODULE = "model.py"
HOOK = "features"


def find(folder: Path) -> Features | None:
    """The hook of a model's folder, if ``model.py`` defines one.

    The text is looked at first, for the imports of a model can take seconds.
    """
    path = folder / MODULE
    if not path.is_file() or HOOK not in path.read_text(encoding="utf-8"):
        return None
    with blamed(folder):
        return getattr(load_module(folder, path.stem), HOOK, None)


def with_features(rows: "pl.LazyFrame", features: Features | None, spec: DataSpec, folder: Path) -> "pl.LazyFrame":
    """The rows after the hook, or the rows themselves without one.

    The hook sees every row that the contract kept, on both sides of the split and ordered by time where there
    is one. It may add, change and drop columns and drop rows; target, time and key must keep name and type,
    the rows their order, and no row may appear. Nulls that it makes (the first rows of a lag) stay: the
    estimator handles them, or the hook drops those rows. Raises InputError with file, line and exception.
    """
    import polars as pl

    if features is None:
        return rows
    module = folder / MODULE
    with blamed(folder, features):
        made = features(rows)
        if not isinstance(made, pl.LazyFrame):
            raise InputError(f"{module}: {HOOK}() returned {type(made).__name__}; it must return a LazyFrame")
        before, after = rows.collect_schema(), made.collect_schema()
    for role, name in (("target", spec.target), ("time", spec.time), ("key", spec.key)):
        if name and after.get(name) != before[name]:
            change = f"is {after[name]} after" if name in after else "is missing after"
            raise InputError(f"{module}: the {role} {name!r} {change} {HOOK}(); keep it as {before[name]}")
    for name, dtype in after.items():
        if dtype.is_nested():
            raise InputError(f"{module}: {HOOK}() made the column {name!r} of {dtype}; make plain values")
    return made


@contextmanager
def blamed(folder: Path, features: Features | None = None) -> Iterator[None]:
    """Turn an exception of the model's own code into an InputError that names file and line.

    Whatever that code raises is its owner's to mend, so every exception is caught here. One that never passed
    through it goes on unchanged, unless Polars raised it in a query that ``features`` made: then its first line
    is named.
    """
    import polars as pl

    try:
        yield
    except OstinatoError:
        raise
    except Exception as error:
        module = folder / MODULE
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(module)]
        if features is not None and isinstance(error, pl.exceptions.PolarsError) and not system_said(error):
            lines = lines or [features.__code__.co_firstlineno]
        if not lines:
            raise
        text = str(error).strip().split("\n")[0]
        raise InputError(f"{module}, line {lines[-1]}: {type(error).__name__}: {text}") from error
