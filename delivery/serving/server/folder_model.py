"""The served model: requests of both protocols to checked rows, predictions to answers. Only the server imports it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from struct import error as struct_error
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput

from delivery.models.folder import Predictor
from delivery.serving.server.signature import Column
from delivery.serving.server.tables import table_maker
from delivery.serving.server.tensors import Tensor, arrays_of, shown, tensors_of
from training.errors import InputError

INLINE_ROWS = 256
"""A batch of more rows is predicted in a thread, so that liveness and small requests are answered meanwhile."""


class FolderModel(Model):
    """A loaded model folder under one name. version: its digest."""

    def __init__(self, name: str, version: str, columns: Sequence[Column], predictor: Predictor) -> None:
        super().__init__(name)
        self.version = version
        self._columns = columns
        self._predictor, self._table = table_maker(predictor, columns)
        classes = self._predictor.classes
        self._label = "FP64" if classes is None else _datatype(classes)
        self._parameters = None if classes is None else {"classes": json.dumps(classes.tolist())}
        self._outputs: dict[str, list[int]] = {"predict": [-1]}
        if classes is not None and self._predictor.gives_probabilities:
            self._outputs["predict_proba"] = [-1, len(classes)]
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": column.name, "datatype": column.datatype, "shape": [-1]} for column in self._columns]

    def get_output_types(self) -> list[dict[str, Any]]:
        datatypes = {"predict": self._label, "predict_proba": "FP64"}
        return [{"name": name, "datatype": datatypes[name], "shape": shape} for name, shape in self._outputs.items()]

    async def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """V2 in, V2 out; V1 in, V1 out. Raises InvalidInput (400, INVALID_ARGUMENT) for what the caller can mend."""
        try:
            if isinstance(payload, InferRequest):
                names = self.requested_outputs([output.name for output in payload.request_outputs or ()])
                outputs = await self.ask([_tensor(tensor) for tensor in payload.inputs], names)
                return _answer(payload, self.version, outputs)
            if not isinstance(payload, dict) or "instances" not in payload:
                raise InputError('the body must be a JSON object with "instances", a list of rows with named columns')
            (output,) = await self.ask(tensors_of(self._columns, payload["instances"]), ["predict"])
            return {"predictions": output.data}
        except InputError as error:
            raise InvalidInput(str(error)) from error

    def requested_outputs(self, names: Sequence[str]) -> Sequence[str]:
        """The outputs that a request names, all if it names none. Raises InputError for one that there is not."""
        for name in names:
            if name not in self._outputs:
                raise InputError(f"output {shown(name)} is not one of the model's; ask for {list(self._outputs)}")
        return names or list(self._outputs)

    async def ask(self, tensors: Sequence[Tensor], names: Sequence[str]) -> list[InferOutput]:
        """The named outputs for the columns of a request. Raises InputError for what the caller can mend."""
        arrays = arrays_of(self._columns, tensors)
        try:
            if len(next(iter(arrays.values()))) <= INLINE_ROWS:
                return self._outputs_of(arrays, names)
            return await asyncio.to_thread(self._outputs_of, arrays, names)
        except ValueError as error:
            raise InputError(f"the model can't take these rows: {error}") from error

    def _outputs_of(self, arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> list[InferOutput]:
        rows = self._table(arrays)
        outputs = []
        for name in names:
            if name == "predict":
                values, datatype, parameters = self._predictor.predict(rows), self._label, None
            else:
                values, datatype, parameters = self._predictor.predict_proba(rows), "FP64", self._parameters
            assert values is not None
            flat = values.reshape(-1).tolist()
            if datatype == "BYTES":
                flat = [str(value) for value in flat]
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


def _answer(request: InferRequest, version: str, outputs: list[InferOutput]) -> InferResponse:
    return InferResponse(
        response_id=request.id or "",
        model_name=request.model_name,
        model_version=version,
        infer_outputs=outputs,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
