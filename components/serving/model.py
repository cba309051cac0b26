"""The served model: requests of both protocols to checked rows, predictions to answers. Only the server imports it."""

import asyncio
import json
from collections.abc import Sequence
from struct import error as struct_error
from typing import TYPE_CHECKING, Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput

from components.serving.rows import Tensor, rows_of, shown, tensors_of
from components.serving.signature import Column
from components.train.model_folder import Predictor
from training.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

INLINE_ROWS = 256
"""A batch of more rows is predicted in a thread, so that liveness and small requests are answered meanwhile."""


class FolderModel(Model):
    """A loaded model folder under one name."""

    def __init__(self, name: str, columns: Sequence[Column], predictor: Predictor) -> None:
        super().__init__(name)
        self._columns = columns
        self._predictor = predictor
        classes = self._predictor.classes
        self._label = "FP64" if classes is None else _datatype(classes)
        self._parameters = None if classes is None else {"classes": json.dumps(classes.tolist())}
        self._outputs: dict[str, list[int]] = {"predict": [-1]}
        if classes is not None and self._predictor.gives_probabilities:
            self._outputs["predict_proba"] = [-1, len(classes)]
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": one.name, "datatype": one.datatype, "shape": [-1]} for one in self._columns]

    def get_output_types(self) -> list[dict[str, Any]]:
        datatypes = {"predict": self._label, "predict_proba": "FP64"}
        return [{"name": name, "datatype": datatypes[name], "shape": shape} for name, shape in self._outputs.items()]

    async def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """V2 in, V2 out; V1 in, V1 out. Raises InvalidInput (400, INVALID_ARGUMENT) for what the caller can mend."""
        try:
            if isinstance(payload, InferRequest):
                wanted = self._wanted(payload)
                rows = rows_of(self._columns, [_tensor(one) for one in payload.inputs])
                return _answer(payload, await self._run(rows, wanted))
            if not isinstance(payload, dict) or "instances" not in payload:
                raise InputError('the body must be a JSON object with "instances", a list of rows with named columns')
            rows = rows_of(self._columns, tensors_of(self._columns, payload["instances"]))
            (output,) = await self._run(rows, ["predict"])
            return {"predictions": output.data}
        except InputError as error:
            raise InvalidInput(str(error)) from error

    def _wanted(self, request: InferRequest) -> list[str]:
        if not request.request_outputs:
            return list(self._outputs)
        names = [one.name for one in request.request_outputs]
        for name in names:
            if name not in self._outputs:
                raise InputError(f"output {shown(name)} is not one of the model's; ask for {list(self._outputs)}")
        return names

    async def _run(self, rows: "pd.DataFrame", wanted: list[str]) -> list[InferOutput]:
        try:
            if len(rows) <= INLINE_ROWS:
                return self._outputs_of(rows, wanted)
            return await asyncio.to_thread(self._outputs_of, rows, wanted)
        except ValueError as error:
            raise InputError(f"the model can't take these rows: {error}") from error

    def _outputs_of(self, rows: "pd.DataFrame", wanted: list[str]) -> list[InferOutput]:
        outputs = []
        for name in wanted:
            if name == "predict":
                values, datatype, parameters = self._predictor.predict(rows), self._label, None
            else:
                values, datatype, parameters = self._predictor.predict_proba(rows), "FP64", self._parameters
            assert values is not None
            flat = values.reshape(-1).tolist()
            if datatype == "BYTES":
                flat = [str(one) for one in flat]
            outputs.append(InferOutput(name, list(values.shape), datatype, flat, parameters))
        return outputs


def _datatype(classes: np.ndarray) -> str:
    return {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64"}.get(classes.dtype.kind, "BYTES")


def _tensor(given: InferInput) -> Tensor:
    """An input of the kserve package. Raises InputError if its raw bytes don't fit datatype and shape."""
    if given._raw_data is None:
        assert isinstance(given.data, list), "JSON and gRPC contents are lists"
        return Tensor(given.name, given.datatype, given.shape, given.data)
    try:
        values = given.as_numpy()
    except (ValueError, OverflowError, struct_error) as error:
        raise InputError(
            f"column {shown(given.name)}: {len(given._raw_data)} raw bytes are no {given.datatype} of shape "
            f"{shown(given.shape)}: {error}"
        ) from error
    return Tensor(given.name, given.datatype, given.shape, values.tolist() if given.datatype == "BYTES" else values)


def _answer(request: InferRequest, outputs: list[InferOutput]) -> InferResponse:
    return InferResponse(
        response_id=request.id or "",
        model_name=request.model_name,
        infer_outputs=outputs,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
