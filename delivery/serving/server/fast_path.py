"""The fast path of a usual request. Only the server imports it.

FastAPI and the kserve package's objects take longer for one row than most models. A plain JSON request for inference
is read, checked by the same functions and answered here, with the same bytes. Everything else is left to the kserve
package with the request as it came: binary data, cloud events, parameters, and every refusal.
"""

import time
from typing import Any

import orjson
from kserve.metrics import POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.serving.server.folder_model import FolderModel
from delivery.serving.server.tensors import Tensor
from training.errors import InputError

REQUEST_KEYS = {"id", "inputs", "outputs"}
INPUT_KEYS = {"name", "shape", "datatype", "data"}
OUTPUT_KEYS = ("name", "shape", "datatype", "parameters", "data")


class FastPath:
    """ASGI middleware in front of the kserve package's application."""

    def __init__(self, app: ASGIApp, model: FolderModel) -> None:
        self._app = app
        self._model = model
        self._path = f"/v2/models/{model.name}/infer"
        self._metrics = [
            metric.labels(model_name=model.name) for metric in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        usual = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path
        if not (usual and self._model.ready and _is_plain_json(scope)):
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        answer = await self._answer(b"".join(message.get("body", b"") for message in messages))
        if answer is None:
            await self._app(scope, _again(messages, receive), send)
            return
        head = [(b"content-length", str(len(answer)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, body: bytes) -> bytes | None:
        """None for what the kserve package must answer."""
        began = time.perf_counter()
        try:
            request = orjson.loads(body)
            tensors = _tensors(request)
            if tensors is None:
                return None
            names = self._model.requested_outputs([output["name"] for output in request.get("outputs") or ()])
            read = time.perf_counter()
            outputs = await self._model.ask(tensors, names)
            asked = time.perf_counter()
        except (orjson.JSONDecodeError, InputError):
            return None
        described = [{key: getattr(output, key) for key in OUTPUT_KEYS} for output in outputs]
        answer = orjson.dumps(
            {
                "model_name": self._model.name,
                "model_version": self._model.version,
                "id": request.get("id") or "",
                "parameters": None,
                "outputs": described,
            }
        )
        for metric, took in zip(self._metrics, (read - began, asked - read, time.perf_counter() - asked), strict=True):
            metric.observe(took)
        return answer


def _is_plain_json(scope: Scope) -> bool:
    """Whether the headers say JSON, and nothing that the kserve package looks at."""
    plain = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            plain = value.partition(b";")[0] == b"application/json"
        elif name.startswith((b"ce-", b"inference-header-content-length")):
            return False
    return plain


def _tensors(request: Any) -> list[Tensor] | None:
    """The columns of a request that has nothing but what every request has, with the types that it must have."""
    if (
        not isinstance(request, dict)
        or not request.keys() <= REQUEST_KEYS
        or not isinstance(request.get("id"), str | None)
    ):
        return None
    inputs, outputs = request.get("inputs"), request.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list | None):
        return None
    for entry in outputs or ():
        if not isinstance(entry, dict) or entry.keys() != {"name"} or not isinstance(entry["name"], str):
            return None
    tensors = []
    for entry in inputs:
        if not isinstance(entry, dict) or entry.keys() != INPUT_KEYS:
            return None
        tensor = Tensor(entry["name"], entry["datatype"], entry["shape"], entry["data"])
        if list(map(type, tensor)) != [str, str, list, list] or not all(type(size) is int for size in tensor.shape):
            return None
        tensors.append(tensor)
    return tensors


def _again(messages: list[Message], receive: Receive) -> Receive:
    """Hands out the messages that were received, then what comes."""
    left = iter(messages)

    async def replayed() -> Message:
        for message in left:
            return message
        return await receive()

    return replayed
