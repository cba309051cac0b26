"""How much memory one request takes at its peak, in sizes of its body, by protocol and content.

    python benchmarks/memory.py [--mib 16]

Each case is one request to a fresh server that has answered a small one; the peak is the kernel's (VmHWM) less what was
resident before. FACTOR and GRPC_FACTOR of delivery/serving/server/memory_budget.py must be no smaller.
"""

import argparse
import http.client
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import say, table
from served_model import COLUMNS, model_folder
from servers import free_port, own_server, running

NAME = "linear"
INFER, PREDICT = f"/v2/models/{NAME}/infer", f"/v1/models/{NAME}:predict"
JSON = {"content-type": "application/json"}
NUMBERS: dict[str, tuple[Callable[[], float], int]] = {
    "long decimals": (random.random, 20),
    "short decimals": (lambda: random.randrange(100) / 10, 5),
    "one digit": (lambda: random.randrange(10), 3),
}
"""Name to a value and about how many bytes it takes, its comma included."""
UNFIT = {"empty lists": "[],", "empty objects": "{},", "short texts": '"ab",', "nested lists": "[[[]]],"}
"""What a caller may send that is no request: a member of a list of inputs, or of V1's rows."""
Request = tuple[str, dict[str, str], bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=float, default=16, help="size of a body; a gRPC message has 7 MiB at most")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        folder = model_folder(Path(work, NAME), NAME)
        for case, (path, headers, body) in rest_requests(int(given.mib * 2**20)):
            rows.append((case, *measured(folder, body, lambda port, _, p=path, h=headers, b=body: post(port, p, h, b))))
        for case, message in grpc_requests(int(min(given.mib, 7) * 2**20)):
            rows.append((case, *measured(folder, message, lambda _, port, m=message: infer(port, m))))
    print(table(("request", "MiB", "peak MiB", "sizes of its body", "answer"), rows))


def rest_requests(size: int) -> Iterator[tuple[str, Request]]:
    for kind, (value, length) in NUMBERS.items():
        count = size // COLUMNS // length
        columns = {f"column_{i}": [value() for _ in range(count)] for i in range(COLUMNS)}
        inputs = [{"name": name, "shape": [count], "datatype": "FP64", "data": data} for name, data in columns.items()]
        yield f"V2, {kind}", (INFER, JSON, compact({"inputs": inputs}))
        yield f"V2 with parameters, {kind}", (INFER, JSON, compact({"inputs": inputs, "parameters": {"a": 1}}))
        instances = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        instances = instances[: max(1, len(instances) * length // (length + 11))]
        yield f"V1, {kind}", (PREDICT, JSON, compact({"instances": instances}))
    yield "V2 binary", binary(size)
    for kind, member in UNFIT.items():
        members = member * (size // len(member)) + "1"
        yield f"V2, {kind}", (INFER, JSON, f'{{"inputs":[{members}]}}'.encode())
        yield f"V1, {kind}", (PREDICT, JSON, f'{{"instances":[{members}]}}'.encode())


def binary(size: int) -> Request:
    import numpy as np

    count = size // COLUMNS // 8
    described = {"shape": [count], "datatype": "FP64", "parameters": {"binary_data_size": 8 * count}}
    head = compact({"inputs": [{"name": f"column_{i}", **described} for i in range(COLUMNS)]})
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return INFER, headers, head + np.random.default_rng(0).random(COLUMNS * count).tobytes()


def grpc_requests(size: int) -> Iterator[tuple[str, bytes]]:
    """Messages of ModelInferRequest, written out."""
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    def message(datatype: str, field: str, value: Any, length: int) -> bytes:
        count = size // COLUMNS // length
        request = pb.ModelInferRequest(model_name=NAME)
        for i in range(COLUMNS):
            tensor = request.inputs.add(name=f"column_{i}", datatype=datatype, shape=[count])
            getattr(tensor.contents, field).extend([value] * count)
        return request.SerializeToString()

    yield "gRPC, decimals", message("FP64", "fp64_contents", 0.5, 8)
    yield "gRPC, small whole numbers", message("INT64", "int64_contents", 1, 1)
    yield "gRPC, empty texts", message("BYTES", "bytes_contents", b"", 2)


def measured(folder: Path, body: bytes, ask: Callable[[int, int], str]) -> tuple[str, str, str, str]:
    """MiB of body and peak, their ratio, and the answer's status."""
    grpc = free_port()
    command = [*own_server(folder, NAME)[:-1], "--grpc_port", str(grpc), "--memory_budget", "1024Gi", "--http_port"]
    with running(command, f"/v2/models/{NAME}/ready") as server:
        small = {
            "inputs": [{"name": f"column_{i}", "shape": [1], "datatype": "FP64", "data": [1]} for i in range(COLUMNS)]
        }
        post(server.port, INFER, JSON, compact(small))
        before = resident(server.pid, "VmRSS")
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak starts anew
        answer = ask(server.port, grpc)
        peak = resident(server.pid, "VmHWM") - before
    say(f"{len(body) / 2**20:.1f} MiB took {peak / 2**20:.0f} MiB: {answer}")
    return f"{len(body) / 2**20:.1f}", f"{peak / 2**20:.0f}", f"{peak / len(body):.1f}", answer


def post(port: int, path: str, headers: dict[str, str], body: bytes) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return str(response.status)


def infer(port: int, message: bytes) -> str:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            ask(message, timeout=300)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            return error.code().name
    return "OK"


def resident(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
