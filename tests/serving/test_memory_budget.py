"""Requests in flight never end the server: what memory has no room for is refused, and health answers meanwhile."""

import http.client
import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import requests
from harness.command_line import ROOT
from harness.servers import free_port, wait_until_ready
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

GIB, MIB = 2**30, 2**20
AT_ONCE = 64
JSON = {"content-type": "application/json"}
INFER = "/v2/models/amount/infer"


@contextmanager
def server(folder: Path, *options: str, data_limit: int | None = None) -> Iterator[int]:
    """The server's port. data_limit: bytes that its private memory may have, by RLIMIT_DATA; RLIMIT_AS would count the
    files of libraries too."""
    port = free_port()
    command = [sys.executable, "-m", "delivery.serving.server.server", f"--model_dir={folder}", "--model_name=amount"]

    def hold() -> None:
        if data_limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))

    process = subprocess.Popen(
        [*command, f"--http_port={port}", *options], cwd=ROOT, text=True, preexec_fn=hold, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/v2/health/ready", process)
        yield port
        assert process.poll() is None, "the server lives"
    finally:
        process.kill()
        process.wait()


def numbers(size: int) -> bytes:
    """A body of this size: one column of small numbers, which the model refuses after it has read them."""
    head, tail = b'{"inputs":[{"name":"price","shape":[1],"datatype":"FP64","data":[', b"1]}]}"
    return head + b"1," * ((size - len(head) - len(tail)) // 2) + tail


def post(port: int, body: bytes, **headers: str) -> tuple[int, str | None, str]:
    """Status, Retry-After, and the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("POST", INFER, body, {**JSON, **headers})
        response = connection.getresponse()
        return response.status, response.getheader("retry-after"), json.loads(response.read())["error"]
    finally:
        connection.close()


def statuses(port: int, body: bytes) -> Counter[int]:
    """Of 64 such requests at once, while health is asked."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [pool.submit(post, port, body) for _ in range(AT_ONCE)]
        while not all(answer.done() for answer in answers):
            assert requests.get(f"http://127.0.0.1:{port}/v2/health/live", timeout=30).status_code == 200
        return Counter(answer.result()[0] for answer in answers)


@pytest.mark.parametrize("size", [20 * MIB, 8 * MIB])
def test_64_large_requests_at_once_leave_a_server_of_1_gib_alive(regressor: Path, size: int) -> None:
    """What fits is answered: 400, since the body is one column only."""
    with server(regressor, data_limit=GIB) as port:
        found = statuses(port, numbers(size))
        assert found.keys() <= {400, 413, 503}
        assert size > 8 * MIB or (found[400] and found[503])
        assert post(port, numbers(1000))[0] == 400


def test_what_is_larger_than_the_whole_budget_is_too_large(regressor: Path) -> None:
    with server(regressor, "--memory_budget=24Mi") as port:
        status, retry, error = post(port, numbers(2 * MIB))
        assert (status, retry) == (413, None)
        assert "larger than 1048576 bytes; send fewer rows" in error
        assert post(port, numbers(MIB // 2))[0] == 400


def test_what_does_not_fit_now_is_told_when_to_ask_again(regressor: Path) -> None:
    """Another request holds its part of the budget from its head on."""
    with server(regressor, "--memory_budget=24Mi") as port:
        slow = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = numbers(MIB * 3 // 4)
        slow.putrequest("POST", INFER)
        slow.putheader("content-type", "application/json")
        slow.putheader("content-length", str(len(body)))
        slow.putheader("expect", "100-continue")
        slow.endheaders()
        assert slow.sock.recv(100).startswith(b"HTTP/1.1 100"), "its body is waited for"
        status, retry, error = post(port, body)
        assert (status, retry) == (503, "1")
        assert "ask again" in error
        assert requests.get(f"http://127.0.0.1:{port}/v2/models/amount/ready").status_code == 200
        slow.send(body)
        assert slow.getresponse().status == 400
        assert post(port, body)[0] == 400, "its part is free again"


def test_a_body_without_a_length_is_counted_as_it_comes(regressor: Path) -> None:
    with server(regressor, "--memory_budget=24Mi") as port:
        chunks = (numbers(MIB)[start : start + 2**16] for start in range(0, MIB, 2**16))
        refused = requests.post(f"http://127.0.0.1:{port}{INFER}", data=(b" " * 2**16 for _ in range(17)), headers=JSON)
        assert refused.status_code == 413
        taken = requests.post(f"http://127.0.0.1:{port}{INFER}", data=list(chunks)[0:1].__iter__(), headers=JSON)
        assert taken.status_code == 400


def test_a_body_of_lists_alone_is_reserved_for_as_what_it_becomes(regressor: Path) -> None:
    with server(regressor, "--memory_budget=24Mi") as port:
        assert post(port, b"[" * (MIB * 3 // 4))[0] == 503


def test_a_grpc_message_that_does_not_fit_is_resource_exhausted(regressor: Path) -> None:
    address = free_port()
    with server(regressor, "--memory_budget=16Mi", f"--grpc_port={address}"):
        request = pb.ModelInferRequest(model_name="amount", raw_input_contents=[bytes(MIB)])
        with grpc.insecure_channel(f"127.0.0.1:{address}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(request, timeout=60, wait_for_ready=True)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert stub.ServerLive(pb.ServerLiveRequest(), timeout=60).live


def test_a_body_with_very_many_faults_is_refused_by_the_first(regressor: Path) -> None:
    """Each was described before: one such body took the process down."""
    faults = {
        "empty objects": b'{"inputs":[' + b"{}," * 100_000 + b"{}]}",
        "parameters": json.dumps({"inputs": [], "parameters": {str(i): [] for i in range(100_000)}}).encode(),
    }
    with server(regressor, data_limit=GIB) as port:
        for body in faults.values():
            status, _, error = post(port, body)
            assert (status, error.startswith("the body is no V2 inference request")) == (400, True)
