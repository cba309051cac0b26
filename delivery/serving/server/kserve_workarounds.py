"""Where the kserve package would fail, listen everywhere or obey a stranger. Only the server imports it."""

from struct import error as struct_error
from typing import Any

from fastapi.exceptions import RequestValidationError
from grpc import StatusCode, aio
from kserve.constants.constants import MAX_GRPC_MESSAGE_LENGTH
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.infer_type import InferRequest
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.v2_datamodels import InferenceRequest, RequestInput, RequestOutput
from pydantic import BeforeValidator, FailFast
from starlette.requests import Request
from starlette.responses import JSONResponse

from delivery.serving.server.folder_model import FolderModel
from delivery.serving.server.memory_budget import GRPC_FACTOR, MemoryBudget

BROKEN = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, struct_error, InferenceError)
"""What the kserve package raises on bytes that are no request."""
FINISH_S = 3600
"""How long requests may go on after SIGTERM: the longest that a spec allows (`serving.timeout_s`). The kserve package
cuts them off after 30 s; in a pod the grace period decides."""
MOST_PARAMETERS = 1000
"""Of one object of a request."""


async def refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """A body that is no V2 request: 400 in KServe's form, with the fields. FastAPI's own answer repeats the input,
    and fails on NaN."""
    assert isinstance(error, RequestValidationError)
    fields = {".".join(str(part) for part in problem["loc"][2:]): problem["msg"] for problem in error.errors()}
    text = "; ".join(f"{ascii(name or 'the body').strip(chr(39))}: {problem}" for name, problem in fields.items())
    return JSONResponse({"error": f"the body is no V2 inference request: {text[:500]}"}, 400)


def describe_first_fault_only() -> None:
    """Call it before the kserve package makes its routes. pydantic describes every fault of a body: 8 MiB of empty
    inputs took 14 GiB and 80 s."""
    for model, lists in ((RequestInput, ("shape",)), (RequestOutput, ()), (InferenceRequest, ("inputs", "outputs"))):
        for name in lists:
            model.model_fields[name].metadata.append(FailFast())
        model.model_fields["parameters"].metadata.append(BeforeValidator(_few_parameters))
        model.model_rebuild(force=True)


def _few_parameters(parameters: Any) -> Any:
    if isinstance(parameters, dict) and len(parameters) > MOST_PARAMETERS:
        raise ValueError(f"there are {len(parameters)} parameters; at most {MOST_PARAMETERS} are taken")
    return parameters


class CheckedDataPlane(DataPlane):
    """Requests with binary data that don't parse are the caller's mistake, not a failure of the server; and metadata
    says which version is served."""

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        described = await super().model_metadata(model_name)
        model = self.get_model_from_registry(model_name)
        assert isinstance(model, FolderModel)
        return {**described, "versions": [model.version]}

    def decode_inference_request(self, body: Any, headers: dict[str, str], model_name: str) -> InferRequest:
        try:
            request = super().decode_inference_request(body, headers, model_name)
            _check_types(request)
            return request
        except InvalidInput:
            raise
        except BROKEN as error:
            raise InvalidInput(
                f"the request is no V2 inference request ({type(error).__name__}: {error}); check inputs, shape, "
                "datatype, data or binary_data_size, and the header inference-header-content-length"
            ) from error


def _check_types(request: InferRequest) -> None:
    """What FastAPI checks of a JSON body and nobody of a binary one. Raises TypeError."""
    for tensor in request.inputs:
        if not isinstance(tensor.name, str) or not isinstance(tensor.data, list):
            raise TypeError("an input needs a name and data")
        if not isinstance(tensor.shape, list) or not all(type(size) is int for size in tensor.shape):
            raise TypeError(f"the shape of {tensor.name!r} is no list of whole numbers")
    if not isinstance(request.id, str | None) or not isinstance(request.parameters, dict | None):
        raise TypeError("id is text, and parameters are an object")


class FixedModels(ModelRepositoryExtension):
    """The server has one model for its life: git decides what is served, not a caller."""

    async def load(self, model_name: str) -> None:
        raise InvalidInput(f"model {model_name!r} can't be loaded by request; commit a manifest that names it")

    async def unload(self, model_name: str) -> None:
        raise InvalidInput(f"model {model_name!r} can't be unloaded by request; remove its manifest")


class BoundedServicer(InferenceServicer):
    """Inference within the budget, and metadata with the versions, which the kserve package leaves out."""

    def __init__(self, dataplane: DataPlane, models: ModelRepositoryExtension, budget: MemoryBudget) -> None:
        super().__init__(dataplane, models)
        self._budget = budget

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        amount = request.ByteSize() * GRPC_FACTOR
        if not self._budget.reserve(amount):
            fix = "send fewer rows a request" if amount > self._budget.size else "ask again, or send fewer rows"
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, f"there is no memory for this request now; {fix}")
        try:
            return await super().ModelInfer(request, context)
        finally:
            self._budget.release(amount)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:
        return pb.ModelMetadataResponse(**await self._data_plane.model_metadata(model_name=request.name))


class HostGRPCServer(GRPCServer):
    """The kserve package's gRPC service on one address, without its log line a request."""

    def __init__(
        self, host: str, port: int, dataplane: DataPlane, models: ModelRepositoryExtension, budget: MemoryBudget
    ) -> None:
        super().__init__(port, dataplane, models, kwargs={}, grace_period=FINISH_S)
        self._host = host
        self._budget = budget

    async def start(self, max_workers: int) -> None:
        sizes = ("grpc.max_message_length", "grpc.max_send_message_length", "grpc.max_receive_message_length")
        self._server = aio.server(
            interceptors=(ExceptionToStatusInterceptor(),), options=[(name, MAX_GRPC_MESSAGE_LENGTH) for name in sizes]
        )
        servicer = BoundedServicer(self._data_plane, self._model_repository_extension, self._budget)
        add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(f"{self._host}:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()
