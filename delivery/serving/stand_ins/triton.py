"""ONNX Runtime behind Triton's HTTP contract, where there is no Triton: the library that its ONNX backend embeds.

    python -m delivery.serving.stand_ins.triton --model-store=DIR --http-port=P

It reads Triton's model repository and speaks its V2: the batch is the first dimension, null is refused and NaN is
taken, an error is {"error": …}. Answers and refusals were compared with a real Triton (docs/reference/measured.md). It
has one version of each model, JSON only, and neither gRPC nor batching of requests.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.models.onnx.parity import open_session, ort_errors
from training.errors import OstinatoError

if TYPE_CHECKING:
    import numpy as np
    from fastapi import FastAPI

DATATYPES = {
    "tensor(double)": "FP64",
    "tensor(float)": "FP32",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
TAKES: dict[str, tuple[tuple[type, ...], str]] = {
    "FP64": ((float, int), "JSON non-number as double"),
    "FP32": ((float, int), "JSON non-number as double"),
    "INT64": ((int,), "JSON non-signed-integer as signed-integer"),
    "INT32": ((int,), "JSON non-signed-integer as signed-integer"),
    "BOOL": ((bool,), "JSON non-boolean as boolean"),
    "BYTES": ((str,), "JSON non-string as string"),
}
"""Python types of the values of each datatype, and what Triton says of others."""
NUMPY = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool", "BYTES": "object"}


class TritonError(Exception):
    """A request that Triton answers with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class OnnxModel:
    """One folder of a model repository. Raises OstinatoError if it is not complete or does not load."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        try:
            config = (folder / "config.pbtxt").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise OstinatoError(f"{folder} is no model of Triton: {error.filename} is missing") from error
        batch = re.search(r"^max_batch_size: (\d+)$", config, re.MULTILINE)
        if batch is None or 'platform: "onnxruntime_onnx"' not in config:
            raise OstinatoError(f"{folder / 'config.pbtxt'} lacks max_batch_size or platform onnxruntime_onnx")
        self._most = int(batch[1])
        self._session = open_session(folder / "1" / "model.onnx")
        self._inputs = {tensor.name: DATATYPES[tensor.type] for tensor in self._session.get_inputs()}
        self._outputs = {out.name: (DATATYPES[out.type], [-1, *out.shape[1:]]) for out in self._session.get_outputs()}

    def metadata(self) -> dict[str, Any]:
        inputs = [{"name": name, "datatype": kind, "shape": [-1, 1]} for name, kind in self._inputs.items()]
        outputs = [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in self._outputs.items()]
        about = {"name": self.name, "versions": ["1"], "platform": "onnxruntime_onnx"}
        return {**about, "inputs": inputs, "outputs": outputs}

    def infer(self, body: Any) -> dict[str, Any]:
        """The answer to a V2 request. Raises TritonError with Triton's words."""
        if not isinstance(body, dict) or not isinstance(body.get("inputs"), list):
            raise TritonError(500, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'")
        feeds = self._feeds(body["inputs"])
        names = [str(output["name"]) for output in body.get("outputs") or []] or list(self._outputs)
        for name in names:
            if name not in self._outputs:
                raise TritonError(400, f"unexpected inference output '{name}' for model '{self.name}'")
        try:
            values = self._session.run(names, feeds)
        except ort_errors("Fail", "InvalidArgument", "RuntimeException") as error:
            raise TritonError(500, f"onnx runtime error: {error}") from error
        outputs = [
            {
                "name": name,
                "datatype": self._outputs[name][0],
                "shape": list(array.shape),
                "data": array.ravel().tolist(),
            }
            for name, array in zip(names, values, strict=True)
        ]
        identity = {"id": body["id"]} if body.get("id") else {}
        return {**identity, "model_name": self.name, "model_version": "1", "outputs": outputs}

    def _feeds(self, inputs: list[Any]) -> "dict[str, np.ndarray]":
        feeds: dict[str, np.ndarray] = {}
        for tensor in inputs:
            name = str(tensor.get("name")) if isinstance(tensor, dict) else ""
            if name not in self._inputs:
                raise TritonError(400, f"unexpected inference input '{name}' for model '{self.name}'")
            if name in feeds:
                raise TritonError(400, f"input '{name}' already exists in request")
            feeds[name] = self._tensor(name, tensor)
        missing = [name for name in self._inputs if name not in feeds]
        if missing:
            raise TritonError(
                400,
                f"expected {len(self._inputs)} inputs but got {len(feeds)} inputs for model '{self.name}'. Got "
                f"input(s) {list(feeds)}, but missing required input(s) {missing}. "
                "Please provide all required input(s).",
            )
        if len({len(values) for values in feeds.values()}) > 1:
            raise TritonError(400, f"input batch size does not match other inputs for '{self.name}'")
        return feeds

    def _tensor(self, name: str, given: dict[str, Any]) -> "np.ndarray":
        """Values of one input, (n, 1)."""
        import numpy as np

        datatype, shape, values = self._inputs[name], given.get("shape"), given.get("data")
        if given.get("datatype") != datatype:
            raise TritonError(
                400,
                f"inference input '{name}' data-type is '{given.get('datatype')}', but model '{self.name}' expects "
                f"'{datatype}'",
            )
        if not isinstance(values, list):
            raise TritonError(500, "Unable to parse 'data': attempt to access JSON non-array as array")
        if not (isinstance(shape, list) and len(shape) == 2 and type(shape[0]) is int and shape[1] == 1):
            raise TritonError(
                400, f"unexpected shape for input '{name}' for model '{self.name}'. Expected [-1,1], got {shape}."
            )
        flat = [inner for value in values for inner in (value if isinstance(value, list) else [value])]
        taken, otherwise = TAKES[datatype]
        if any(type(value) not in taken for value in flat):
            raise TritonError(500, f"Unable to parse 'data': attempt to access {otherwise}")
        if len(flat) != shape[0] or not flat:
            raise TritonError(500, "Unable to parse 'data': Shape does not match true shape of 'data' field")
        if len(flat) > self._most:
            raise TritonError(400, f"inference request batch-size must be <= {self._most} for '{self.name}'")
        try:
            return np.array(flat, dtype=NUMPY[datatype]).reshape(-1, 1)
        except OverflowError as error:
            raise TritonError(500, f"Unable to parse 'data': attempt to access {otherwise}") from error


def models_of(repository: Path) -> dict[str, OnnxModel]:
    """Every model of a repository: its folders; files are left alone. Raises OstinatoError if there is none."""
    models = {folder.name: OnnxModel(folder) for folder in sorted(repository.iterdir()) if folder.is_dir()}
    if not models:
        raise OstinatoError(f"{repository} has no folder with a model; was it trained for kserve-tritonserver?")
    return models


def app_of(models: dict[str, OnnxModel]) -> "FastAPI":
    """The HTTP face: https://github.com/triton-inference-server/server/tree/main/docs/protocol"""
    from importlib.metadata import version

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    app = FastAPI(openapi_url=None)

    def model(name: str) -> OnnxModel:
        if name not in models:
            raise TritonError(404, f"Request for unknown model: '{name}' is not found")
        return models[name]

    @app.exception_handler(TritonError)
    async def refuse(_: Request, error: TritonError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.status)

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        label = f"{version('onnxruntime')} in place of Triton"
        return {"name": "onnxruntime", "version": label, "extensions": []}

    @app.get("/v2/health/live")
    @app.get("/v2/health/ready")
    async def health() -> Response:
        return Response()

    @app.get("/v2/models/{name}/ready")
    async def ready(name: str) -> Response:
        return Response() if name in models else JSONResponse({"error": "Model version not ready"}, 400)

    @app.get("/v2/models/{name}")
    async def metadata(name: str) -> dict[str, Any]:
        return model(name).metadata()

    @app.post("/v2/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        asked = model(name)
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise TritonError(500, f"failed to parse the request JSON buffer: {error}") from error
        return Response(json.dumps(asked.infer(body)), media_type="application/json")

    return app


def main() -> int:
    """Serve until the process is told to stop; returns the exit code."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m delivery.serving.stand_ins.triton")
    parser.add_argument("--model-store", type=Path, required=True, help="the model repository")
    parser.add_argument("--http-port", type=int, default=8000)
    given = parser.parse_args()
    try:
        models = models_of(given.model_store)
    except OstinatoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    uvicorn.run(app_of(models), host="127.0.0.1", port=given.http_port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
