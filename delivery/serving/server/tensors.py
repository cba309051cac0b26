"""Requests become rows: named columns, checked against the signature, before the model sees anything.

Nothing is converted silently. A number in text, a whole number with a fraction, a value out of range or a missing
one is refused; the message names the column, the value and the fix.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from delivery.serving.server.signature import Column
from training.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

NUMPY = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
SENDS: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    "INT32": (int,),
    "INT64": (int,),
    "FP32": (float, int),
    "FP64": (float, int),
    "BYTES": (str,),
}
"""Python types of the values of each datatype."""
TAKES = {name: frozenset((*kinds, bytes) if name == "BYTES" else kinds) for name, kinds in SENDS.items()}
"""What is taken: gRPC brings text as bytes."""


class Tensor(NamedTuple):
    """One named column of a request."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: "list[Any] | np.ndarray"


def arrays_of(columns: Sequence[Column], tensors: Sequence[Tensor]) -> "dict[str, np.ndarray]":
    """The columns of a request, (n,) each, n at least 1, in the order and with the types of the signature.

    Raises InputError for a missing, unknown or double column, another datatype or shape, columns of different
    lengths, no rows, and values that are missing, infinite or of another type.
    """
    given = _by_name(columns, tensors)
    arrays = {column.name: _array(column, given[column.name]) for column in columns}
    lengths = {name: len(values) for name, values in arrays.items()}
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise InputError(f"column {name!r} has {length} values, but {first!r} has {rows}; give one value a row")
    return arrays


def tensors_of(columns: Sequence[Column], instances: Any) -> list[Tensor]:
    """Protocol V1: a list of objects, one a row, as columns. Raises InputError for anything else."""
    example = ", ".join(f'"{column.name}": …' for column in columns[:2])
    if not isinstance(instances, list) or not instances:
        raise InputError(f'"instances" must be a list of at least one row, such as [{{{example}}}]')
    for i, row in enumerate(instances):
        if not isinstance(row, dict):
            raise InputError(f"row {i} of instances is {shown(row)}; write an object with named columns: {{{example}}}")
        _check_names(columns, list(row), f" in row {i} of instances")
    return [
        Tensor(column.name, column.datatype, [len(instances)], [row[column.name] for row in instances])
        for column in columns
    ]


def shown(value: object) -> str:
    """A value of a request in a message: printable and short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _by_name(columns: Sequence[Column], tensors: Sequence[Tensor]) -> Mapping[str, Tensor]:
    given: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name in given:
            raise InputError(f"column {shown(tensor.name)} is given twice; give it once")
        given[tensor.name] = tensor
    _check_names(columns, list(given), "")
    return given


def _check_names(columns: Sequence[Column], names: Sequence[str], where: str) -> None:
    known = [column.name for column in columns]
    for name in names:
        if name not in known:
            raise InputError(
                f"column {shown(name)}{where} is not one of the model's; leave it out. {did_you_mean(name, known)}"
            )
    for column in columns:
        if column.name not in names:
            raise InputError(f"column {column.name!r} ({column.datatype}) is missing{where}; the model needs {known}")


def _array(column: Column, tensor: Tensor) -> "np.ndarray":
    """The values of one column, (n,)."""
    import numpy as np

    if tensor.datatype != column.datatype:
        raise InputError(
            f"column {column.name!r} has datatype {shown(tensor.datatype)}; send {column.datatype}, "
            "as the model's metadata says"
        )
    values = _flat(column, tensor)
    if isinstance(values, list):
        values = _checked(column, values)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(f"column {column.name!r} is infinite in row {infinite.argmax()}; send a finite number")
    missing = np.isnan(values)
    if column.required and missing.any():
        raise _missing(column, int(missing.argmax()))
    return values


def _flat(column: Column, tensor: Tensor) -> "list[Any] | np.ndarray":
    """The values in a row, if shape and number fit: [n], or [n, 1] flat or nested."""
    shape, values = list(tensor.shape), tensor.values
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise InputError(f"column {column.name!r} has shape {shown(shape)}; send one value a row, shape [n]")
    if isinstance(values, list) and len(shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in values):
        values = [row[0] for row in values]
    elif not isinstance(values, list):
        values = values.reshape(-1)
    if shape[0] == 0 or not len(values):
        raise InputError(f"column {column.name!r} is empty; send at least one row")
    if len(values) != shape[0]:
        raise InputError(f"column {column.name!r} has shape {shown(shape)} and {len(values)} values; make them equal")
    return values


def _checked(column: Column, values: list[Any]) -> "np.ndarray":
    """A list of JSON or gRPC values as an array of the column's type."""
    import numpy as np

    gaps = False
    for kind in set(map(type, values)) - TAKES[column.datatype]:
        row = next(i for i, value in enumerate(values) if type(value) is kind)
        if kind is not type(None):
            raise InputError(
                f"column {column.name!r} is {shown(values[row])} in row {row}, which is no {column.datatype}; "
                f"send {' or '.join(taken.__name__ for taken in SENDS[column.datatype])} values"
            )
        if column.required:
            raise _missing(column, row)
        gaps = True
    if column.datatype == "BYTES":
        return _texts(column, values)
    if gaps and column.datatype == "BOOL":
        return np.array(values, dtype=object)
    dtype = "float64" if gaps and column.datatype.startswith("INT") else NUMPY[column.type]
    try:
        if dtype == "float32":
            with np.errstate(over="ignore"):
                return np.array(values, dtype=dtype)
        return np.array(values, dtype=dtype)
    except OverflowError as error:
        raise InputError(f"column {column.name!r} holds a number that does not fit {column.datatype}") from error


def _texts(column: Column, values: list[Any]) -> "np.ndarray":
    """Text as objects, as polars and pandas hand it to training; moments as datetime64[ns]."""
    import numpy as np
    import pandas as pd

    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        raise InputError(f"column {column.name!r} holds bytes that are not UTF-8 ({error}); send text") from error
    if column.type == "datetime":
        try:
            return pd.to_datetime(pd.Series(texts), format="ISO8601").to_numpy("datetime64[ns]")
        except ValueError as error:
            raise InputError(f"column {column.name!r} holds text that is no ISO 8601 moment: {error}") from error
    return np.array(texts, dtype=object)


def _missing(column: Column, row: int) -> InputError:
    return InputError(
        f"column {column.name!r} is missing (null or NaN) in row {row}, and the model was trained without gaps there; "
        f"send a {column.datatype} value"
    )
