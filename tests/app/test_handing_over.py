"""A replica takes over an address from another, and a request that is half sent is still answered by the old one."""

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.following import WAIT_S, plain_rows
from harness.two_versions import MODEL, Shop

from app.client import DemandForecast, request_body
from delivery.serving.process.replica import Replica
from training.errors import OstinatoError


def folder(shop: Shop, version: str) -> Path:
    return shop.root / "work" / version / "model"


def test_the_old_one_finishes_its_requests_and_says_goodbye_while_the_new_one_answers(registered: Shop) -> None:
    rows = plain_rows(registered)
    columns = {"price": "FP64", "rain": "FP64", "weight": "FP32", "visits": "INT64", "open": "BOOL", "town": "BYTES"}
    body = json.dumps(request_body(rows, columns)).encode()
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
    head += "content-type: application/json\r\n\r\n"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Replica(folder(registered, "1"), MODEL) as old,
        Replica(folder(registered, "2"), MODEL) as new,
        ThreadPoolExecutor(1) as thread,
    ):
        for replica in (old, new):
            replica.prove(registered.rows)
        old.take_over(listener)
        address = listener.getsockname()
        with socket.create_connection(address, timeout=WAIT_S) as connection:
            connection.sendall(head.encode() + body[:100])
            with DemandForecast(f"http://127.0.0.1:{address[1]}", MODEL) as endpoint:
                assert endpoint.forecast(rows) == registered.answers["1"].tolist()  # so the other one is accepted too
                new.take_over(listener)
                retired = thread.submit(old.retire)
                while endpoint.forecast(rows) != registered.answers["2"].tolist():
                    pass
                assert endpoint.retried == 0
            assert not retired.done()
            connection.sendall(body[100:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        retired.result(WAIT_S)
    said, _, found = answer.partition(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200")
    assert json.loads(found)["outputs"][0]["data"] == registered.answers["1"].tolist()


def test_a_model_that_loads_but_can_not_answer_its_own_example_does_not_take_over(
    registered: Shop, tmp_path: Path
) -> None:
    renamed = shutil.copytree(folder(registered, "1"), tmp_path / "model")
    for name in ("MLmodel", "input_example.json"):
        text = (renamed / name).read_text()
        (renamed / name).write_text(text.replace("price", "cost"))
    with (
        Replica(renamed, MODEL) as replica,
        pytest.raises(OstinatoError, match=r"it does not answer: .* answered 400: .*columns are missing: {'price'}"),
    ):
        replica.prove(registered.rows.rename(columns={"price": "cost"}))
