"""The fast path answers usual requests; whatever else comes reaches the application behind it as it came."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from harness.shops import body_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from delivery.models.folder import load_model
from delivery.serving.server.fast_path import FastPath
from delivery.serving.server.folder_model import FolderModel
from delivery.serving.server.signature import read_signature

PATH = "/v2/models/amount/infer"
JSON = {"content-type": "application/json"}


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that gives back the body that it got."""
    body = await Request(scope, receive).body()
    await Response(body, status_code=418)(scope, receive, send)


@pytest.fixture(scope="module")
def model(regressor: Path) -> FolderModel:
    return FolderModel("amount", "sha256:0", read_signature(regressor), load_model(regressor))


def post(model: FolderModel, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """In two pieces, as a network may bring it."""

    async def pieces() -> AsyncIterator[bytes]:
        half = len(body) // 2
        yield body[:half]
        yield body[half:]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(FastPath(behind, model))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post(path, content=pieces(), headers=headers)

    return asyncio.run(ask())


def test_a_plain_request_is_answered_without_the_application(
    model: FolderModel, regressor: Path, test_rows: pd.DataFrame
) -> None:
    for rows in (test_rows.head(1), test_rows):
        answer = post(model, PATH, json.dumps(body_of(rows)).encode(), JSON)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json()["outputs"][0]["data"] == load_model(regressor).predict(rows).tolist()
    body, charset = json.dumps(body_of(test_rows.head(1))).encode(), {"content-type": "application/json; charset=utf-8"}
    assert post(model, PATH, body, charset).status_code == 200


UNUSUAL: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "another model": ("/v2/models/other/infer", JSON, {}),
    "another protocol": ("/v1/models/amount:predict", JSON, {}),
    "a stated version": ("/v2/models/amount/versions/1/infer", JSON, {}),
    "binary data": (PATH, {**JSON, "inference-header-content-length": "10"}, {}),
    "a cloud event": (PATH, {**JSON, "ce-id": "1"}, {}),
    "no content type": (PATH, {}, {}),
    "octets": (PATH, {"content-type": "application/octet-stream"}, {}),
    "parameters": (PATH, JSON, {"parameters": {"binary_data_output": True}}),
    "parameters of an output": (PATH, JSON, {"outputs": [{"name": "predict", "parameters": {}}]}),
    "an unknown output": (PATH, JSON, {"outputs": [{"name": "chance"}]}),
    "outputs of another type": (PATH, JSON, {"outputs": ["predict"]}),
    "no inputs": (PATH, JSON, {"inputs": []}),
    "inputs of another type": (PATH, JSON, {"inputs": {"price": 1}}),
    "an id of another type": (PATH, JSON, {"id": 3}),
    "an unknown key": (PATH, JSON, {"more": 1}),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_request_reaches_the_application_whole(
    model: FolderModel, test_rows: pd.DataFrame, kind: str
) -> None:
    path, headers, change = UNUSUAL[kind]
    body = json.dumps(body_of(test_rows.head(2)) | change).encode()
    answer = post(model, path, body, headers)
    assert (answer.status_code, answer.content) == (418, body)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"binary_data_size": 8}},
        {"shape": [1.0]},
        {"shape": [True]},
        {"shape": [3]},
        {"data": 1.5},
        {"data": ["1.5"]},
        {"data": [None]},
        {"datatype": "FP32"},
        {"name": 3},
        {"name": "prize"},
        {"more": 1},
    ],
    ids=str,
)
def test_an_input_that_is_not_plain_or_not_right_reaches_the_application(
    model: FolderModel, test_rows: pd.DataFrame, change: dict[str, Any]
) -> None:
    body = body_of(test_rows.head(1))
    body["inputs"][0] |= change
    assert post(model, PATH, json.dumps(body).encode(), JSON).status_code == 418


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"inputs": [NaN]}', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_request_reaches_the_application(model: FolderModel, body: bytes) -> None:
    answer = post(model, PATH, body, JSON)
    assert (answer.status_code, answer.content) == (418, body)


def test_a_model_that_is_being_stopped_is_left_to_the_application(regressor: Path, test_rows: pd.DataFrame) -> None:
    model = FolderModel("amount", "sha256:0", read_signature(regressor), load_model(regressor))
    model.stop()
    assert post(model, PATH, json.dumps(body_of(test_rows.head(1))).encode(), JSON).status_code == 418
