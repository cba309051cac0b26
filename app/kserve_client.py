"""The same forecast with the clients of the ``kserve`` package, for an application that has it: REST and gRPC, async.

The caller names the columns' datatypes itself here, as an application with a fixed set of columns would.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kserve import InferRequest, InferResponse

TIMEOUT_S = 10.0

Columns = Mapping[str, tuple[str, Sequence[Any]]]
"""Datatype of the protocol and values by column name, such as ``{"temp": ("FP64", [21.5, 19.0])}``."""


async def forecast_rest(url: str, model: str, columns: Columns) -> list[float]:
    """One number a row. url: such as ``http://127.0.0.1:8080``. Raises httpx.HTTPError, with the server's message."""
    import httpx
    from kserve import InferenceRESTClient, RESTConfig

    # The package's own `retries` has no effect without a transport, and an AsyncClient made here is closed here.
    transport = httpx.AsyncHTTPTransport(retries=3)
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=TIMEOUT_S, transport=transport))
    try:
        return numbers(await client.infer(url, infer_request(model, columns), model_name=model))
    finally:
        await client.close()


async def forecast_grpc(address: str, model: str, columns: Columns) -> list[float]:
    """One number a row. address: host:port. Tried 3 times. Raises grpc.RpcError, with the server's message."""
    from kserve import InferenceGRPCClient

    async with InferenceGRPCClient(address, timeout=TIMEOUT_S) as client:
        return numbers(await client.infer(infer_request(model, columns)))


def infer_request(model: str, columns: Columns) -> "InferRequest":
    from kserve import InferInput, InferRequest

    inputs = [
        InferInput(name, [len(values)], datatype, data=list(values)) for name, (datatype, values) in columns.items()
    ]
    return InferRequest(model_name=model, infer_inputs=inputs)


def numbers(response: "InferResponse | dict[str, Any]") -> list[float]:
    assert not isinstance(response, dict), "protocol V2"
    return [float(value) for value in response.outputs[0].as_numpy()]
