"""A bad request is a 4xx that names the column, the value and the fix; the server stays up."""

import asyncio
import copy
import http.client
import json
import random
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
from harness.shops import COLUMNS, body_of, shop_rows
from kserve import InferenceGRPCClient, InferInput, InferRequest

from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import RunningServer
from training.errors import InputError, OstinatoError

FUZZ_CASES = 300
"""Of JSON and of binary requests, with the seed 20."""


def post(served: RunningServer, body: bytes) -> requests.Response:
    headers = {"content-type": "application/json"}
    return requests.post(f"{served.url}/v2/models/{served.name}/infer", data=body, headers=headers)


def change(column: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        next(one for one in body["inputs"] if one["name"] == column).update(fields)

    return edit


def drop(body: dict[str, Any]) -> None:
    del body["inputs"][0]


def double(body: dict[str, Any]) -> None:
    body["inputs"].append(copy.deepcopy(body["inputs"][0]))


def ask_for_more(body: dict[str, Any]) -> None:
    body["outputs"] = [{"name": "probability"}]


def empty(body: dict[str, Any]) -> None:
    for one in body["inputs"]:
        one |= {"shape": [0], "data": []}


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "missing column": (drop, ("'price' (FP64) is missing", "the model needs")),
    "unknown column": (change("price", name="pricee"), ("'pricee' is not one of", "Did you mean 'price'?")),
    "column twice": (double, ("'price' is given twice", "once")),
    "other datatype": (change("price", datatype="FP32"), ("'price' has datatype 'FP32'", "send FP64")),
    "unknown datatype": (change("price", datatype="COMPLEX"), ("'price' has datatype 'COMPLEX'", "send FP64")),
    "text for a number": (change("price", data=[1.5, "2"]), ("'price' is '2' in row 1", "no FP64")),
    "bool for a number": (change("price", data=[1.5, True]), ("'price' is True in row 1", "no FP64")),
    "fraction for a whole": (change("visits", data=[1, 2.5]), ("'visits' is 2.5 in row 1", "no INT64")),
    "too large a whole": (change("visits", data=[1, 10**30]), ("'visits'", "does not fit INT64")),
    "number for text": (change("town", data=["Oslo", 3]), ("'town' is 3 in row 1", "send str")),
    "number for bool": (change("open", data=[True, 1]), ("'open' is 1 in row 1", "no BOOL")),
    "gap where none may be": (change("price", data=[None, 1.0]), ("'price' is missing (null or NaN) in row 0", "send")),
    "NaN where none may be": (change("price", data=[1.0, float("nan")]), ("'price' is missing", "in row 1", "send")),
    "infinity": (change("rain", data=[1.0, float("inf")]), ("'rain' is infinite in row 1", "finite")),
    "matrix": (change("price", shape=[1, 2], data=[[1.0, 2.0]]), ("'price' has shape [1, 2]", "one value a row")),
    "shape of nothing": (change("price", shape=[]), ("'price' has shape []", "one value a row")),
    "negative shape": (change("price", shape=[-2]), ("'price' has shape [-2] and 2 values",)),
    "fewer values than shape": (change("price", data=[1.0]), ("'price' has shape [2] and 1 values", "equal")),
    "deep nesting": (change("price", data=[[[1.0]], 2.0]), ("'price' is [[1.0]] in row 0",)),
    "unequal lengths": (change("rain", shape=[1], data=[1.0]), ("'rain' has 1 values, but 'price' has 2",)),
    "empty batch": (empty, ("'price' is empty", "at least one row")),
    "unknown category": (change("town", data=["Oslo", "Atlantis"]), ("can't take these rows", "Atlantis")),
    "unknown output": (ask_for_more, ("output 'probability'", "ask for ['predict'")),
    "data that is no list": (change("price", data=3.5), ("inputs.0.data: Input should be a valid list",)),
    "half a character": (change("town", data=["Oslo", "\ud800"]), ("",)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_v2_request_is_a_400_that_names_what_is_wrong_and_the_fix(
    amount_server: RunningServer, kind: str
) -> None:
    edit, words = BAD[kind]
    body = body_of(shop_rows(2).assign(rain=[1.0, 2.0]))
    edit(body)
    response = post(amount_server, json.dumps(body).encode())
    assert 400 <= response.status_code < 500, response.text
    for word in words:
        assert word in response.text, response.text
    assert requests.get(f"{amount_server.url}/v2/models/amount/ready").status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Unrecognized request format"),
        (b"[1]", "instances"),
        (b"{", "Unrecognized request format"),
        (b'{"rows": []}', "instances"),
        (b'{"instances": []}', "at least one row"),
        (b'{"instances": [[1, 2]]}', "write an object with named columns"),
        (b'{"instances": [{"price": 1}]}', "'rain' (FP64) is missing in row 0"),
        (b'{"instances": [{"prize": 1}]}', "Did you mean 'price'?"),
        (b"[" * 100_000, "Unrecognized request format"),
    ],
)
def test_a_wrong_v1_request_is_a_400_that_says_what_to_send(
    amount_server: RunningServer, body: bytes, words: str
) -> None:
    response = requests.post(f"{amount_server.url}/v1/models/amount:predict", data=body)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'{"inputs": 3}', b"[" * 100_000, b'"text"', b"\xff\xfe"])
def test_a_v2_body_that_is_no_request_is_a_4xx(amount_server: RunningServer, body: bytes) -> None:
    response = post(amount_server, body)
    assert 400 <= response.status_code < 500, response.text


@pytest.mark.parametrize("length", ["10", "100000", "-1", "ten"])
def test_binary_data_that_does_not_parse_is_a_400(amount_server: RunningServer, length: str) -> None:
    head = json.dumps({"inputs": [{"name": "price", "shape": [9], "datatype": "FP64", "parameters": {}}]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    response = requests.post(f"{amount_server.url}/v2/models/amount/infer", data=head + b"123", headers=headers)
    assert response.status_code == 400, response.text


def test_an_unknown_model_is_a_404(amount_server: RunningServer) -> None:
    assert requests.post(f"{amount_server.url}/v2/models/other/infer", json=body_of(shop_rows(1))).status_code == 404
    assert requests.get(f"{amount_server.url}/v2/models/other/ready").status_code == 404


def test_a_caller_can_not_unload_the_model(amount_server: RunningServer) -> None:
    for action in ("unload", "load"):
        response = requests.post(f"{amount_server.url}/v2/repository/models/amount/{action}")
        assert response.status_code == 400
        assert "manifest" in response.json()["error"]
    assert requests.get(f"{amount_server.url}/v2/models/amount/ready").status_code == 200


@pytest.mark.parametrize("stated", [True, False], ids=["by its header", "in chunks"])
def test_a_huge_body_is_refused_with_413(amount_server: RunningServer, stated: bool) -> None:
    connection = http.client.HTTPConnection(amount_server.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/v2/models/amount/infer")
    connection.putheader("content-type", "application/json")
    if stated:
        connection.putheader("content-length", str(2**40))
        connection.endheaders()
    else:
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        for _ in range(65):
            connection.send(chunk)
    response = connection.getresponse()
    assert (response.status, "fewer rows" in response.read().decode()) == (413, True)
    assert requests.get(f"{amount_server.url}/v2/models/amount/ready").status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "prize"}, "Did you mean 'price'?"),
        ({"datatype": "INT64"}, "'price' has datatype 'INT64'"),
        ({"raw": b"123"}, "3 raw bytes are no FP64"),
        ({"raw": np.array([np.nan, 1.0]).tobytes()}, "'price' is missing (null or NaN) in row 0"),
        ({"shape": [1, 2]}, "one value a row"),
    ],
)
def test_a_wrong_grpc_request_is_an_invalid_argument(
    amount_server: RunningServer, change: dict[str, Any], words: str
) -> None:
    rows = shop_rows(2)
    inputs = []
    for name, datatype in COLUMNS.items():
        one = InferInput(name, [2], datatype)
        one.set_data_from_numpy(rows[name].to_numpy())
        inputs.append(one)
    inputs[0]._name = change.get("name", "price")
    inputs[0]._datatype = change.get("datatype", "FP64")
    inputs[0]._raw_data = change.get("raw", inputs[0]._raw_data)
    inputs[0]._shape = change.get("shape", [2])

    async def ask() -> None:
        async with InferenceGRPCClient(amount_server.grpc, timeout=30, retries=2) as client:
            await client.infer(InferRequest("amount", inputs))

    with pytest.raises(grpc.RpcError) as caught:
        asyncio.run(ask())
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()


def mutated(chance: random.Random) -> bytes:
    """A good request with one to four random edits of its JSON or of its bytes."""
    body = body_of(shop_rows(3, seed=chance.randrange(1000)))
    odd = [None, True, -1, 1e308, 10**40, float("nan"), "", "\ud800", "\x00", [], {}, [[[1]]], "FP64", "x" * 5000]
    for _ in range(chance.randint(1, 4)):
        one = chance.choice(body["inputs"]) if body.get("inputs") else body
        kind = chance.randrange(6)
        if kind == 0:
            one[chance.choice(["name", "datatype", "shape", "data", "parameters"])] = chance.choice(odd)
        elif kind == 1:
            one.pop(chance.choice(list(one) or ["name"]), None)
        elif kind == 2 and isinstance(one.get("data"), list) and one["data"]:
            one["data"][chance.randrange(len(one["data"]))] = chance.choice(odd)
        elif kind == 3 and isinstance(one.get("shape"), list):
            one["shape"] = [chance.randrange(-2, 5) for _ in range(chance.randrange(4))]
        elif kind == 4:
            body[chance.choice(["id", "inputs", "outputs", "parameters", "more"])] = chance.choice(odd)
        elif kind == 5:
            one["parameters"] = {"binary_data_size": chance.choice(odd)}
        if not isinstance(body.get("inputs"), list) or not all(isinstance(one, dict) for one in body["inputs"]):
            break
    content = bytearray(json.dumps(body).encode())
    for _ in range(chance.choice([0, 0, 1, 5])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content[: chance.randrange(len(content))] if chance.random() < 0.05 else content)


def test_three_hundred_mutated_requests_leave_the_server_answering(
    amount_server: RunningServer, test_rows: pd.DataFrame
) -> None:
    before = ServedModel(amount_server.url, "amount").infer(test_rows)
    chance, session, refused = random.Random(20), requests.Session(), 0
    for case in range(FUZZ_CASES):
        content = mutated(chance)
        headers = {"content-type": "application/json"}
        if chance.random() < 0.3:
            headers = {
                "content-type": "application/octet-stream",
                "inference-header-content-length": str(chance.randrange(-1, len(content) + 50)),
            }
        response = session.post(f"{amount_server.url}/v2/models/amount/infer", data=content, headers=headers)
        assert response.status_code < 500, (case, response.text, content)
        refused += response.status_code != 200
    assert FUZZ_CASES / 2 < refused < FUZZ_CASES
    assert session.get(f"{amount_server.url}/v2/health/live").json() == {"live": True}
    assert session.get(f"{amount_server.url}/v2/models/amount/ready").status_code == 200
    np.testing.assert_array_equal(ServedModel(amount_server.url, "amount").infer(test_rows), before)


def test_the_client_names_a_column_that_the_rows_lack(amount_server: RunningServer) -> None:
    with pytest.raises(InputError, match=r"lack the column 'price' .*Did you mean 'prices'"):
        ServedModel(amount_server.url, "amount").infer(shop_rows(1).rename(columns={"price": "prices"}))


def test_the_client_passes_on_the_servers_own_words(amount_server: RunningServer) -> None:
    with pytest.raises(OstinatoError, match=r"answered 400: column 'price' is missing \(null or NaN\) in row 0"):
        ServedModel(amount_server.url, "amount").infer(shop_rows(1).assign(price=np.nan))
    with pytest.raises(OstinatoError, match="answered 404"):
        ServedModel(amount_server.url, "other").infer(shop_rows(1))


def test_the_client_says_when_nobody_answers_in_time_or_at_all(amount_server: RunningServer) -> None:
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(OstinatoError, match="nobody answers at http://127"):
            ServedModel(f"http://127.0.0.1:{deaf.getsockname()[1]}", "amount").infer(shop_rows(1))
        deaf.listen()
        with pytest.raises(OstinatoError, match=r"did not answer within 0\.2 s"):
            ServedModel(f"http://127.0.0.1:{deaf.getsockname()[1]}", "amount", timeout_s=0.2)
