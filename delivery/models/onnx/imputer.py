"""SimpleImputer as ONNX in double precision: an own converter for skl2onnx, whose Imputer operator is float32 in ONNX
Runtime 1.32 (there is no kernel for float64), so that a pipeline that fills gaps could only be computed in float32.
"""

from typing import Any


def output_type(operator: Any) -> None:
    """skl2onnx's form of a shape calculator: the columns and the type that came in.

    Raises TypeError for text, which the converter of skl2onnx would take and this one does not.
    """
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    given = operator.inputs[0].type
    if not isinstance(given, DoubleTensorType | FloatTensorType) or len(operator.inputs) != 1:
        raise TypeError("SimpleImputer takes numbers only")
    operator.outputs[0].type = type(given)([None, len(operator.raw_operator.statistics_)])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's form of a converter: where a value is NaN, the statistic of its column.

    Raises NotImplementedError for what else SimpleImputer can do.
    """
    import numpy as np
    from skl2onnx.common.data_types import guess_proto_type

    imputer = operator.raw_operator
    if imputer.add_indicator or not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise NotImplementedError("SimpleImputer with add_indicator, or missing_values other than NaN")
    if np.isnan(imputer.statistics_).any():
        raise NotImplementedError("SimpleImputer that drops a column without values")
    filled, gaps = scope.get_unique_variable_name("filled"), scope.get_unique_variable_name("gaps")
    rows, number = operator.inputs[0].full_name, guess_proto_type(operator.inputs[0].type)
    container.add_initializer(filled, number, [1, len(imputer.statistics_)], imputer.statistics_.tolist())
    container.add_node("IsNaN", [rows], gaps, name=scope.get_unique_operator_name("gaps"))
    where = scope.get_unique_operator_name("filled")
    container.add_node("Where", [gaps, filled, rows], operator.outputs[0].full_name, name=where)
