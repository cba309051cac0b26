"""A served model answers as the offline one does, over every protocol, and says what it takes."""

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
from harness.shops import COLUMNS, amounts, body_of, fit_and_save, shop_rows
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelMetadataRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from kserve.protocol.infer_type import RequestedOutput

from delivery.models.folder import load_model, model_digest
from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import RunningServer
from delivery.serving.server.folder_model import FolderModel
from delivery.serving.server.signature import read_signature


def grpc_infer(served: RunningServer, rows: pd.DataFrame, binary: bool, output: str) -> np.ndarray:
    """Over gRPC with KServe's own client. binary: raw tensors, else typed contents."""
    inputs = []
    for name, datatype in COLUMNS.items():
        values = rows[name].to_numpy()
        if binary:
            one = InferInput(name, [len(rows)], datatype)
            one.set_data_from_numpy(values)
        else:
            one = InferInput(name, [len(rows)], datatype, values.tolist())
        inputs.append(one)
    request = InferRequest(served.name, inputs, request_outputs=[RequestedOutput(output)])

    async def ask() -> np.ndarray:
        async with InferenceGRPCClient(served.grpc, timeout=30) as client:
            return (await client.infer(request)).outputs[0].as_numpy()

    return asyncio.run(ask())


def test_the_client_gets_the_offline_numbers_of_a_whole_test_set(
    amount_server: RunningServer, regressor: Path, test_rows: pd.DataFrame
) -> None:
    found = ServedModel(amount_server.url, "amount").infer(test_rows)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, load_model(regressor).predict(test_rows))


def test_the_client_gets_the_offline_classes_and_chances_of_a_whole_test_set(
    mood_server: RunningServer, classifier: Path, test_rows: pd.DataFrame
) -> None:
    offline, model = load_model(classifier), ServedModel(mood_server.url, "mood")
    assert set(offline.predict(test_rows)) == {"müde", "good", "great"}
    np.testing.assert_array_equal(model.infer(test_rows), offline.predict(test_rows))
    np.testing.assert_array_equal(model.infer(test_rows, "predict_proba"), offline.predict_proba(test_rows))


@pytest.mark.parametrize("binary", [True, False], ids=["raw", "typed"])
def test_grpc_gives_the_offline_answers_of_a_whole_test_set(
    amount_server: RunningServer,
    mood_server: RunningServer,
    regressor: Path,
    classifier: Path,
    test_rows: pd.DataFrame,
    binary: bool,
) -> None:
    numbers = grpc_infer(amount_server, test_rows, binary, "predict")
    np.testing.assert_array_equal(numbers, load_model(regressor).predict(test_rows))
    labels = [one.decode() for one in grpc_infer(mood_server, test_rows, binary, "predict")]
    assert labels == load_model(classifier).predict(test_rows).tolist()


def test_a_request_written_by_hand_gets_every_output_with_its_classes(
    mood_server: RunningServer, classifier: Path, test_rows: pd.DataFrame
) -> None:
    rows = test_rows.head(5)
    answer = requests.post(f"{mood_server.url}/v2/models/mood/infer", json={"id": "42", **body_of(rows)}).json()
    predict, chances = answer["outputs"]
    assert (answer["id"], answer["model_name"]) == ("42", "mood")
    assert (predict["name"], predict["datatype"], predict["shape"]) == ("predict", "BYTES", [5])
    assert predict["data"] == load_model(classifier).predict(rows).tolist()
    assert (chances["name"], chances["datatype"], chances["shape"]) == ("predict_proba", "FP64", [5, 3])
    assert chances["parameters"]["classes"] == '["good", "great", "m\\u00fcde"]'


def test_protocol_v1_gives_the_offline_answers(
    amount_server: RunningServer, regressor: Path, mood_server: RunningServer, classifier: Path, test_rows: pd.DataFrame
) -> None:
    rows = test_rows.head(300)
    instances = rows.astype(object).where(rows.notna(), None).to_dict("records")
    for served, folder in ((amount_server, regressor), (mood_server, classifier)):
        answer = requests.post(f"{served.url}/v1/models/{served.name}:predict", json={"instances": instances})
        assert answer.json()["predictions"] == load_model(folder).predict(rows).tolist()


def test_metadata_lists_the_signatures_columns_and_the_outputs(mood_server: RunningServer) -> None:
    described = requests.get(f"{mood_server.url}/v2/models/mood").json()
    assert described["inputs"] == [
        {"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in COLUMNS.items()
    ]
    assert described["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
    ]


def test_liveness_and_readiness_are_there(amount_server: RunningServer) -> None:
    for path in ("v2/health/live", "v2/health/ready", "v2/models/amount/ready", "v1/models/amount"):
        assert requests.get(f"{amount_server.url}/{path}").status_code == 200, path


@pytest.mark.parametrize("unusual", [{}, {"parameters": {}}], ids=["the fast path", "the kserve package's"])
def test_the_metrics_count_every_answer(
    amount_server: RunningServer, test_rows: pd.DataFrame, unusual: dict[str, Any]
) -> None:
    def counted() -> dict[str, float]:
        text = requests.get(f"{amount_server.url}/metrics").text
        found = re.findall(r'request_(\w+)_seconds_count{model_name="amount"} (\S+)', text)
        return {name: float(count) for name, count in found}

    before = counted()
    for _ in range(3):
        body = body_of(test_rows.head(1)) | unusual
        assert requests.post(f"{amount_server.url}/v2/models/amount/infer", json=body).status_code == 200
    for name in ("preprocess", "predict", "postprocess"):
        assert counted()[name] == before.get(name, 0) + 3


def test_every_answer_and_the_metadata_say_the_digest_of_the_served_folder(
    amount_server: RunningServer, regressor: Path, test_rows: pd.DataFrame
) -> None:
    digest, url, body = model_digest(regressor), f"{amount_server.url}/v2/models/amount", body_of(test_rows.head(1))
    assert requests.get(url).json()["versions"] == [digest]
    for unusual in ({}, {"parameters": {}}):  # the fast path, and the kserve package's
        assert requests.post(f"{url}/infer", json=body | unusual).json()["model_version"] == digest

    async def ask() -> tuple[Any, Any]:
        inputs = [InferInput(one["name"], [1], one["datatype"], one["data"]) for one in body["inputs"]]
        async with InferenceGRPCClient(amount_server.grpc, timeout=30) as client:
            answer = await client.infer(InferRequest("amount", inputs))
        async with grpc.aio.insecure_channel(amount_server.grpc) as channel:
            stub = GRPCInferenceServiceStub(channel)
            return answer, await stub.ModelMetadata(ModelMetadataRequest(name="amount"))

    answer, described = asyncio.run(ask())
    assert (answer.model_version, list(described.versions)) == (digest, [digest])
    assert [one.name for one in described.inputs] == list(COLUMNS)


@pytest.mark.parametrize("more", [{}, {"id": "42"}, {"outputs": [{"name": "predict"}]}], ids=str)
def test_the_short_way_answers_byte_for_byte_as_the_kserve_package(
    amount_server: RunningServer, mood_server: RunningServer, test_rows: pd.DataFrame, more: dict[str, Any]
) -> None:
    for served in (amount_server, mood_server):
        for rows in (test_rows.head(1), test_rows):
            body, url = body_of(rows) | more, f"{served.url}/v2/models/{served.name}/infer"
            short, long = requests.post(url, json=body), requests.post(url, json=body | {"parameters": {}})
            assert short.content == long.content
            assert short.headers["content-type"] == long.headers["content-type"]


def test_a_column_may_come_in_any_order_and_as_one_column_matrix(
    amount_server: RunningServer, regressor: Path, test_rows: pd.DataFrame
) -> None:
    body = body_of(test_rows.head(2))
    body["inputs"].reverse()
    for one in body["inputs"]:
        one |= {"shape": [2, 1], "data": [[value] for value in one["data"]]}
    answer = requests.post(f"{amount_server.url}/v2/models/amount/infer", json=body).json()
    assert answer["outputs"][0]["data"] == load_model(regressor).predict(test_rows.head(2)).tolist()


@pytest.mark.parametrize(
    ("labels", "datatype"), [(np.array([3, 5]), "INT64"), (np.array([False, True]), "BOOL"), (["a", "b"], "BYTES")]
)
def test_labels_come_back_as_the_type_that_they_have(tmp_path: Path, labels: Any, datatype: str) -> None:
    from sklearn.svm import LinearSVC

    rows = shop_rows(60).fillna(0)
    target = pd.Series(np.asarray(labels)[(amounts(rows) > 8).astype(int).to_numpy()])
    folder = fit_and_save(tmp_path / "model", rows, target, LinearSVC())
    model = FolderModel("labels", "sha256:0", read_signature(folder), load_model(folder))
    inputs = [InferInput(name, [60], kind, rows[name].tolist()) for name, kind in COLUMNS.items()]
    (answer,) = asyncio.run(model.predict(InferRequest("labels", inputs))).outputs
    assert (answer.name, answer.datatype) == ("predict", datatype)
    assert answer.data == load_model(folder).predict(rows).tolist()


def test_the_server_listens_on_loopback_only(amount_server: RunningServer) -> None:
    listening = Path(f"/proc/{amount_server.pid}/net/tcp")
    if not listening.is_file():
        pytest.skip("needs /proc")
    ports = {int(amount_server.url.rpartition(":")[2]), int(amount_server.grpc.rpartition(":")[2])}
    rows = [line.split() for name in ("tcp", "tcp6") for line in listening.with_name(name).read_text().splitlines()[1:]]
    found = {int(one[1].split(":")[1], 16): one[1].split(":")[0] for one in rows if one[3] == "0A"}
    assert ports <= found.keys()
    assert all(found[port].endswith("0100007F") for port in ports)
