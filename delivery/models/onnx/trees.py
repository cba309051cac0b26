"""HistGradientBoosting as ONNX in double precision: an own converter for skl2onnx, which has one that differs.

skl2onnx 1.20 writes thresholds and inputs as float32, so that a value next to a threshold takes the other branch,
leaves the link of the loss out (poisson and gamma are then wrong by an exponential), and reads categorical columns as
numbers in another order. Here thresholds are float64 (TreeEnsembleRegressor of ai.onnx.ml 3), a split on categories is
a chain of equal-to nodes, and the link follows the trees. Their sum is the operator's float32, 6e-8 of its size.
"""

from typing import TYPE_CHECKING, Any

from training.errors import InputError

if TYPE_CHECKING:
    import numpy as np

LINKS = {"IdentityLink": None, "LogLink": "Exp", "LogitLink": "Sigmoid", "MultinomialLogit": "Softmax"}
"""scikit-learn's links (sklearn._loss.link) and the ONNX operator of each inverse."""


class Trees:
    """The attributes of one TreeEnsembleRegressor, filled node by node."""

    def __init__(self, targets: int) -> None:
        self.targets = targets
        self.nodes: list[tuple[int, int, str, int, float, int, int, int]] = []
        """Of tree, id, mode, column, value, id where true, id where false, whether NaN counts as true."""
        self.leaves: list[tuple[int, int, int, float]] = []
        """Tree, id, target and value."""

    def attributes(self) -> dict[str, Any]:
        """As the operator names them (ONNX, Operators-ml.md, TreeEnsembleRegressor)."""
        import numpy as np
        from onnx import numpy_helper

        def doubles(name: str, values: Any) -> Any:
            return numpy_helper.from_array(np.array(values, dtype=np.float64), name)

        trees, ids, modes, columns, values, true, false, missing = map(list, zip(*self.nodes, strict=True))
        leaf_trees, leaf_ids, targets, weights = map(list, zip(*self.leaves, strict=True))
        return {
            "n_targets": self.targets,
            "nodes_treeids": trees,
            "nodes_nodeids": ids,
            "nodes_modes": modes,
            "nodes_featureids": columns,
            "nodes_values_as_tensor": doubles("nodes_values", values),
            "nodes_truenodeids": true,
            "nodes_falsenodeids": false,
            "nodes_missing_value_tracks_true": missing,
            "target_treeids": leaf_trees,
            "target_nodeids": leaf_ids,
            "target_ids": targets,
            "target_weights_as_tensor": doubles("target_weights", weights),
        }


def trees_of(estimator: Any) -> Trees:
    """Every tree of a fitted HistGradientBoosting estimator, over the columns that it was fitted on.

    Raises InputError for categories that are no numbers.
    """
    columns, categories = _columns_and_categories(estimator)
    trees = Trees(estimator.n_trees_per_iteration_)
    for number, predictors in enumerate(estimator._predictors):
        for target, predictor in enumerate(predictors):
            _add_tree(trees, number * len(predictors) + target, target, predictor, columns, categories)
    return trees


def _add_tree(
    trees: Trees, tree: int, target: int, predictor: Any, columns: list[int], categories: "dict[int, np.ndarray]"
) -> None:
    """sklearn.ensemble._hist_gradient_boosting._predictor, _predict_one_from_raw_data, says how a tree is walked."""
    nodes = predictor.nodes
    spare = len(nodes)
    for i, node in enumerate(nodes):
        left, right = int(node["left"]), int(node["right"])
        column = columns[node["feature_idx"]]
        if node["is_leaf"]:
            trees.nodes.append((tree, i, "LEAF", 0, 0.0, 0, 0, 0))
            trees.leaves.append((tree, i, target, float(node["value"])))
        elif not node["is_categorical"]:
            missing = int(node["missing_go_to_left"])
            trees.nodes.append((tree, i, "BRANCH_LEQ", column, float(node["num_threshold"]), left, right, missing))
        else:
            # What is missing or unknown goes one way; the chain asks for each category that goes the other.
            bits = predictor.raw_left_cat_bitsets[node["bitset_idx"]]
            known = categories[int(node["feature_idx"])]
            in_left = [bool(bits[k // 32] >> (k % 32) & 1) for k in range(len(known))]
            asks_left = not node["missing_go_to_left"]
            asked = [value for value, is_left in zip(known.tolist(), in_left, strict=True) if is_left == asks_left]
            then, other = (left, right) if asks_left else (right, left)
            ids = [i, *range(spare, spare + len(asked) - 1)]
            spare += max(len(asked) - 1, 0)
            if not asked:  # never: a split has categories on both sides
                raise InputError("a split on categories without categories can't be written as ONNX")
            for at, value in enumerate(asked):
                following = ids[at + 1] if at + 1 < len(ids) else other
                trees.nodes.append((tree, ids[at], "BRANCH_EQ", column, float(value), then, following, 0))


def _columns_and_categories(estimator: Any) -> "tuple[list[int], dict[int, np.ndarray]]":
    """For each column of the trees its column of the rows; and its categories, where it has some, in their order."""
    import numpy as np

    if estimator.is_categorical_ is None:
        return list(range(estimator.n_features_in_)), {}
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    columns = [*np.flatnonzero(estimator.is_categorical_), *np.flatnonzero(~estimator.is_categorical_)]
    categories = {}
    for at, values in enumerate(encoder.categories_):
        if values.dtype.kind not in "iufb":
            raise InputError(
                f"the categories {values.tolist()[:3]}… are no numbers, which HistGradientBoosting can't be exported "
                "with; encode them before it, e.g. by a ColumnTransformer with OrdinalEncoder or OneHotEncoder"
            )
        numbers = values.astype(np.float64)
        categories[at] = numbers[~np.isnan(numbers)]
    return [int(column) for column in columns], categories


def convert(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's form of a converter: scores of the trees plus the baseline, the link, and a classifier's label."""
    import numpy as np
    from onnx import TensorProto

    estimator = operator.raw_operator
    link = LINKS[type(estimator._loss.link).__name__]

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        name = scope.get_unique_variable_name(f"trees_{kind}")
        container.add_node(kind, inputs, name, name=scope.get_unique_operator_name(kind), **attributes)
        return name

    def constant(values: Any, kind: int = TensorProto.DOUBLE) -> str:
        name = scope.get_unique_variable_name("trees_constant")
        array = np.asarray(values)
        container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return name

    rows = node("Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    attributes = trees_of(estimator).attributes()
    sums = node("TreeEnsembleRegressor", [rows], op_domain="ai.onnx.ml", op_version=3, **attributes)
    baseline = constant(np.ravel(estimator._baseline_prediction)[None, :])
    scores = node("Add", [node("Cast", [sums], to=TensorProto.DOUBLE), baseline])
    if not hasattr(estimator, "classes_"):
        result = node(link, [scores]) if link else scores
        container.add_node("Cast", [result], operator.outputs[0].full_name, to=_type_of(operator.outputs[0]))
        return
    if link == "Sigmoid":
        chance = node("Sigmoid", [scores])
        chances = node("Concat", [node("Sub", [constant([[1.0]]), chance]), chance], axis=1)
    else:
        chances = node("Softmax", [scores], axis=1)
    position = node("ArgMax", [chances], axis=1, keepdims=0)
    classes = estimator.classes_
    kind = TensorProto.INT64 if classes.dtype.kind in "iub" else TensorProto.STRING
    known = constant(
        [str(name).encode() for name in classes] if kind == TensorProto.STRING else classes.astype(int), kind
    )
    label, chance_of_each = operator.outputs
    container.add_node("Gather", [known, position], label.full_name, axis=0)
    container.add_node("Cast", [chances], chance_of_each.full_name, to=_type_of(chance_of_each))


def _type_of(variable: Any) -> int:
    """ONNX's number of the type that skl2onnx declared for a variable."""
    from skl2onnx.common.data_types import guess_proto_type

    return guess_proto_type(variable.type)
