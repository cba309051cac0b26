"""ONNX Runtime on a model, and the comparison of what it answers with the estimator that the model was made of."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PARITY_ROWS = 500
TOLERANCE = 1e-4
"""Largest relative difference of a number. Float32 has 6e-8 a number, and a sum of terms that nearly cancel has more;
another branch of one tree makes 1e-2."""
SMALL = 0.01
"""Share of the largest number below which sizes are all taken as this: terms that cancel leave rounding of their own
size, not of the sum's."""


def spread(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Up to 500 rows, evenly spread over all."""
    import numpy as np

    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), PARITY_ROWS)).round().astype(int))]


def check_parity(estimator: Any, model: bytes, rows: "pd.DataFrame") -> float:
    """The largest relative difference between ONNX Runtime and the estimator over the rows.

    Raises InputError if ONNX Runtime has no kernel for the graph, OstinatoError with the worst row and both values if
    a class differs or a number by more than 1e-4 of its size (of a hundredth of the largest, where that is more).
    """
    import numpy as np

    session = open_session(model)
    outputs = run_session(session, rows)
    expected = np.asarray(estimator.predict(rows)).ravel()
    got = outputs["predict"].ravel()
    if hasattr(estimator, "classes_"):
        other = np.flatnonzero(got != expected)
        if len(other):
            raise _differs(estimator, rows, other[0], got, expected, f"another class for {len(other)}")
        if "predict_proba" not in outputs:
            return 0.0
        got, expected = outputs["predict_proba"], estimator.predict_proba(rows)
        apart = np.abs(got - expected).max(axis=1)
    else:
        size = np.abs(expected)
        scale = np.maximum(size, max(float(size.max()) * SMALL, np.finfo(np.float64).tiny))
        apart = np.abs(got - expected) / scale
    worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    if not apart[worst] <= TOLERANCE:
        many = int((~(apart <= TOLERANCE)).sum())
        raise _differs(estimator, rows, worst, got, expected, f"a difference of {apart[worst]:.3g} in {many}")
    return float(apart[worst])


def _differs(
    estimator: Any, rows: "pd.DataFrame", at: int, got: "np.ndarray", expected: "np.ndarray", what: str
) -> OstinatoError:
    values = {str(name): _plain(value) for name, value in rows.iloc[at].items()}
    return OstinatoError(
        f"{type(estimator).__name__} as ONNX does not answer as it was fitted: {what} of {len(rows)} training rows; at "
        f"most {TOLERANCE:g} is allowed, and no other class. The worst is row {rows.index[at]}: "
        f"{_plain(got[at])!r} instead of {_plain(expected[at])!r} for {values}. Use another estimator, or runtime: "
        "ostinato-mlflow"
    )


def open_session(model: "bytes | Path") -> Any:
    """An ONNX Runtime session on one thread. Raises InputError if it can't be loaded, with the runtime's reason."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except ort_errors("Fail", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented") as error:
        where = "" if isinstance(model, bytes) else f"{model}: "
        raise InputError(f"{where}ONNX Runtime can't load the model: {' '.join(str(error).split())[:300]}") from error


def ort_errors(*names: str) -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which have no common class and are in a compiled module without types."""
    from importlib import import_module

    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(getattr(state, name) for name in names)


def run_session(session: Any, rows: "pd.DataFrame") -> "dict[str, np.ndarray]":
    """Every output for the rows, by name. Raises InputError if the model can't take them."""
    import numpy as np

    feeds = {}
    for tensor in session.get_inputs():
        dtype = NUMPY[tensor.type]
        feeds[tensor.name] = rows[tensor.name].to_numpy().astype(dtype).reshape(-1, 1)
    names = [tensor.name for tensor in session.get_outputs()]
    try:
        outputs = session.run(names, feeds)
    except ort_errors("Fail", "InvalidArgument", "RuntimeException") as error:
        raise InputError(f"ONNX Runtime can't compute the rows: {' '.join(str(error).split())[:300]}") from error
    return dict(zip(names, (np.asarray(tensor) for tensor in outputs), strict=True))


NUMPY = {
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
"""NumPy's names of ONNX Runtime's types."""


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
