"""A fitted estimator as ONNX, laid out as Triton's model repository inside the model folder, and compared with itself.

Triton takes every folder of its repository as a model and leaves files alone, so `<name>/config.pbtxt` and
`<name>/1/model.onnx` beside `MLmodel` make the model folder a repository as it is
(https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_repository.html).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.models.onnx.parity import check_parity, spread
from training.errors import InputError, OstinatoError, did_you_mean

if TYPE_CHECKING:
    import onnx
    import pandas as pd

EXPORTS = ("onnx",)
OPSET = 17
ML_OPSET = 3
IR_VERSION = 8
"""What ONNX Runtime 1.15 loads, as old as the Triton image 23.05 that KServe's chart names; newer ones do too."""
MAX_BATCH_SIZE = 4096
"""Rows of a request that Triton takes, and may put together."""
DATATYPES = {"float64": "FP64", "float32": "FP32", "int64": "INT64", "int32": "INT32", "bool": "BOOL", "str": "STRING"}
"""Triton's names (model_config.proto, DataType, after TYPE_)."""
LIBRARIES = ("onnx", "onnxruntime", "skl2onnx")


def check_installed() -> None:
    """Raises InputError that names what to install when a library of the export is missing."""
    from importlib.util import find_spec

    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the export to ONNX needs {' and '.join(missing)}, which is not installed: pip install 'ostinato[triton]'"
        )


def check_export(export: str) -> str:
    """The export itself. Raises InputError for an unknown one."""
    if export not in ("", *EXPORTS):
        raise InputError(f"export {export!r} is not known. {did_you_mean(export, EXPORTS)}")
    return export


def export_onnx(estimator: Any, folder: Path, name: str, rows: "pd.DataFrame") -> float:
    """Write `<name>/config.pbtxt` and `<name>/1/model.onnx` into the folder; returns the largest relative difference.

    rows: what the estimator was fitted on, (n, inputs); up to 500 of them, evenly spread, are compared. Equal
    estimators give equal bytes. Numbers are computed as float64 where every operator can, else as float32. Raises
    InputError for a column or an estimator that can't be converted, with the reason; OstinatoError that names the
    worst row if the converted one answers otherwise.
    """
    check_installed()
    check_columns(rows)
    sample = spread(rows)
    reasons: list[Exception] = []
    for numbers in ("double", "float"):
        try:
            model = convert(estimator, name, rows, numbers)
            worst = check_parity(estimator, model.SerializeToString(deterministic=True), sample)
        except (InputError, OstinatoError) as error:
            reasons.append(error)
            continue
        where = folder / name / "1"
        where.mkdir(parents=True)
        (where / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
        (folder / name / "config.pbtxt").write_text(config_of(model, name), encoding="utf-8")
        print(f"exported to ONNX in {numbers} precision; {len(sample)} rows differ by at most {worst:.2g}")
        return worst
    # Nearer to success says more: another answer rather than an operator that there is not.
    raise next((reason for reason in reasons if not isinstance(reason, InputError)), reasons[-1])


def check_columns(rows: "pd.DataFrame") -> None:
    """Raises InputError for a column that has no counterpart in ONNX."""
    for column, values in rows.items():
        kind = _kind(values)
        if column in ("predict", "predict_proba"):
            raise InputError(f"column {column!r} has the name of an output; rename it for the export to ONNX")
        if kind is None:
            raise InputError(
                f"column {column!r} is of type {values.dtype}, which the export to ONNX does not take; "
                f"known: {', '.join(DATATYPES)}; make it a number or text in features()"
            )
        if kind == "str" and values.isna().any():
            raise InputError(
                f"column {column!r} is text with gaps, and ONNX has no missing text; fill the gaps in features(), or "
                "use runtime: ostinato-mlflow"
            )


def convert(estimator: Any, name: str, rows: "pd.DataFrame", numbers: str) -> "onnx.ModelProto":
    """The estimator over named inputs of shape [-1, 1], with `predict` [-1, 1] and, if it has some, `predict_proba`.

    numbers: "double" or "float", what is computed with. Raises InputError if a part can't be converted.
    """
    import onnx
    from onnx import TensorProto, helper
    from skl2onnx.common.data_types import guess_proto_type

    inner = onnx.compose.add_prefix(_converted(estimator, name, rows, numbers), "model/")
    given = {tensor.name: tensor.type.tensor_type.elem_type for tensor in inner.graph.input}
    number = TensorProto.DOUBLE if numbers == "double" else TensorProto.FLOAT
    inputs, before, parts = [], [], []
    for column in rows:
        kind = guess_proto_type(_tensor_type(_kind(rows[column])))
        inputs.append(helper.make_tensor_value_info(str(column), kind, [None, 1]))
        dtype = given.get(f"model/{column}", number) if _by_name(estimator) else number
        part = f"model/{column}" if _by_name(estimator) else f"number/{column}"
        before.append(helper.make_node("Cast", [str(column)], [part], f"cast {column}", to=dtype))
        parts.append(part)
    if not _by_name(estimator):
        before.append(helper.make_node("Concat", parts, ["model/matrix"], "matrix", axis=1))
    outputs, after = _outputs(estimator, inner)
    shape = helper.make_tensor("one column", TensorProto.INT64, [2], [-1, 1])
    graph = helper.make_graph(
        [*before, *inner.graph.node, *after], name, inputs, outputs, [*inner.graph.initializer, shape]
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ostinato")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise InputError(f"{type(estimator).__name__} gives no valid ONNX graph: {error}") from error
    return model


def _converted(estimator: Any, name: str, rows: "pd.DataFrame", numbers: str) -> "onnx.ModelProto":
    """What skl2onnx makes of the estimator: over the named columns, or over all of them as one matrix."""
    import onnx
    from skl2onnx import convert_sklearn
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer

    from delivery.models.onnx import imputer as onnx_imputer
    from delivery.models.onnx import trees as onnx_trees

    number = "float64" if numbers == "double" else "float32"
    if _by_name(estimator):
        kinds = {str(column): _kind(rows[column]) for column in rows}
        types = [(column, _tensor_type("str" if kind == "str" else number, 1)) for column, kind in kinds.items()]
    else:
        text = [column for column in rows if _kind(rows[column]) == "str"]
        if text:
            raise InputError(f"column {text[0]!r} is text; a ColumnTransformer must come first, and name it")
        types = [("matrix", _tensor_type(number, rows.shape[1]))]
    chances = hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba")
    try:
        converted = convert_sklearn(
            estimator,
            name,
            types,
            options={id(estimator): {"zipmap": False}} if chances else None,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            custom_conversion_functions={
                HistGradientBoostingClassifier: onnx_trees.convert,
                HistGradientBoostingRegressor: onnx_trees.convert,
                SimpleImputer: onnx_imputer.convert,
            },
            custom_shape_calculators={SimpleImputer: onnx_imputer.output_type},
        )
        assert isinstance(converted, onnx.ModelProto), "what a call without intermediate or as_function gives"
        return converted
    except InputError:
        raise
    except (RuntimeError, ValueError, TypeError, NameError, AttributeError, LookupError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{type(estimator).__name__} can't be exported to ONNX: {reason} ({type(error).__name__} of skl2onnx). "
            "Use an estimator that skl2onnx knows, or runtime: ostinato-mlflow"
        ) from error


def _outputs(estimator: Any, inner: "onnx.ModelProto") -> "tuple[list[onnx.ValueInfoProto], list[onnx.NodeProto]]":
    """`predict` as a column of float64 or of labels with the classes' type, `predict_proba` as float64."""
    import numpy as np
    from onnx import TensorProto, helper

    classes = getattr(estimator, "classes_", None)
    kind = TensorProto.DOUBLE
    if classes is not None:
        labels = {"b": TensorProto.BOOL, "i": TensorProto.INT64, "u": TensorProto.INT64, "f": TensorProto.DOUBLE}
        kind = labels.get(np.asarray(classes).dtype.kind, TensorProto.STRING)
    names = [output.name for output in inner.graph.output]
    outputs = [helper.make_tensor_value_info("predict", kind, [None, 1])]
    after = [
        helper.make_node("Cast", [names[0]], ["predict/flat"], "predict cast", to=kind),
        helper.make_node("Reshape", ["predict/flat", "one column"], ["predict"], "predict column"),
    ]
    if classes is not None and hasattr(estimator, "predict_proba"):
        outputs.append(helper.make_tensor_value_info("predict_proba", TensorProto.DOUBLE, [None, len(classes)]))
        cast = helper.make_node("Cast", [names[1]], ["predict_proba"], "predict_proba cast", to=TensorProto.DOUBLE)
        after.append(cast)
    return outputs, after


def config_of(model: "onnx.ModelProto", name: str) -> str:
    """Triton's `config.pbtxt`: the batch is the first dimension of every tensor, so dims leave it out.

    Format: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
    """
    from onnx import helper

    def tensor(value: "onnx.ValueInfoProto") -> str:
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        datatype = DATATYPES.get(str(kind), "STRING")
        width = value.type.tensor_type.shape.dim[1].dim_value
        return f"  {{ name: {_quoted(value.name)} data_type: TYPE_{datatype} dims: [ {width} ] }}"

    lines = [f"name: {_quoted(name)}", 'platform: "onnxruntime_onnx"', f"max_batch_size: {MAX_BATCH_SIZE}"]
    lines += ["input [", ",\n".join(map(tensor, model.graph.input)), "]"]
    lines += ["output [", ",\n".join(map(tensor, model.graph.output)), "]"]
    lines.append("dynamic_batching { }")
    # Replicas and requests are what runs side by side; threads that share one small request wait for each other.
    lines.append('parameters { key: "intra_op_thread_count" value: { string_value: "1" } }')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """As protobuf's text format writes a string: C escapes."""
    return json.dumps(text, ensure_ascii=False)


def _by_name(estimator: Any) -> bool:
    """Whether the first thing that sees the rows selects columns by their names."""
    from sklearn.compose import ColumnTransformer

    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return isinstance(estimator, ColumnTransformer)


def _kind(column: Any) -> str | None:
    """A key of ``DATATYPES`` for a column of the rows, or None."""
    from pandas.api.types import infer_dtype

    if column.dtype.kind == "O" or str(column.dtype) in ("str", "string"):
        return "str" if infer_dtype(column, skipna=True) in ("string", "empty") else None
    return str(column.dtype) if str(column.dtype) in DATATYPES else None


def _tensor_type(kind: str | None, width: int = 1) -> Any:
    from skl2onnx.common import data_types

    names = {"float64": "Double", "float32": "Float", "int64": "Int64", "int32": "Int32", "bool": "Boolean"}
    return getattr(data_types, f"{names.get(kind or '', 'String')}TensorType")([None, width])
