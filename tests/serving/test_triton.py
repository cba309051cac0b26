"""A model served by Triton answers as it was judged: real bytes over a socket, by the library that Triton embeds."""

import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from harness.shops import COLUMNS, amounts, body_of, moods, shop_rows, towns_first
from serving import real_triton
from threadpoolctl import threadpool_limits

from delivery.models.folder import load_model, model_digest, save_model
from delivery.models.onnx.export import MAX_BATCH_SIZE, export_onnx
from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import RunningServer, serving
from training.errors import InputError, OstinatoError

TRITON = "kserve-tritonserver"


def exported(folder: Path, name: str, target: Callable[[pd.DataFrame], pd.Series]) -> Path:
    rows = shop_rows(800)
    with threadpool_limits(1):
        estimator, trusted = towns_first(rows, target(rows))
        save_model(estimator, folder, rows, trusted, {})
        export_onnx(estimator, folder, name, rows)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("triton") / "model", "amount", amounts)


@pytest.fixture(scope="module")
def mood_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("triton") / "model", "mood", moods)


@pytest.fixture(scope="module", params=["as the table says", "real"])
def triton(
    request: pytest.FixtureRequest, mood_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """What the table starts here, which is the stand-in where there is no Triton; and a real one where there is."""
    if request.param != "real":
        with serving(mood_repository, "mood", runtime=TRITON) as served:
            yield served
        return
    folder, workspace = tmp_path_factory.mktemp("real"), tmp_path_factory.mktemp("workspace")
    models = real_triton.prepare(mood_repository, folder, workspace)
    rows = pd.DataFrame(shop_rows(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_WORKSPACE", str(workspace))
        with serving(models, "mood", rows, runtime=real_triton.NAME) as served:
            yield served


def test_the_served_numbers_of_a_whole_test_set_are_the_offline_ones(repository: Path, test_rows: pd.DataFrame) -> None:
    before = model_digest(repository)
    with serving(repository, "amount", runtime=TRITON) as served:
        found = ServedModel(served.url, "amount").infer(test_rows)
        os.kill(served.pid, 0)
    assert (found.shape, found.dtype) == ((2000,), np.float64)
    np.testing.assert_allclose(found, load_model(repository).predict(test_rows), rtol=1e-6)
    assert model_digest(repository) == before
    with pytest.raises(ProcessLookupError):
        os.kill(served.pid, 0)


def test_the_served_classes_and_chances_of_a_whole_test_set_are_the_offline_ones(
    triton: RunningServer, mood_repository: Path, test_rows: pd.DataFrame
) -> None:
    offline, model = load_model(mood_repository), ServedModel(triton.url, "mood")
    assert model.infer(test_rows).tolist() == offline.predict(test_rows).tolist()
    chances = model.infer(test_rows, "predict_proba")
    expected = offline.predict_proba(test_rows)
    assert expected is not None
    np.testing.assert_allclose(chances, expected, rtol=0, atol=1e-6)


def test_it_says_what_ran_with_its_version(triton: RunningServer) -> None:
    runtimes = f"{TRITON}|{real_triton.NAME}"
    assert re.fullmatch(rf"({runtimes}), (triton [\d.]+|onnxruntime [\d.]+ in place of Triton)", triton.ran)


def test_the_same_folder_is_served_by_our_own_runtime_too(mood_repository: Path, test_rows: pd.DataFrame) -> None:
    with serving(mood_repository, "mood") as served:
        assert re.fullmatch(r"ostinato-mlflow, kserve [\d.]+, scikit-learn [\d.]+, skops [\d.]+", served.ran)
        found = ServedModel(served.url, "mood").infer(test_rows)
    assert found.tolist() == load_model(mood_repository).predict(test_rows).tolist()


def test_metadata_is_the_one_of_triton(triton: RunningServer) -> None:
    described = requests.get(f"{triton.url}/v2/models/mood").json()
    inputs = [{"name": name, "datatype": datatype, "shape": [-1, 1]} for name, datatype in COLUMNS.items()]
    outputs = [
        {"name": "predict", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
    ]
    assert described.pop("platform") == ("python" if real_triton.NAME in triton.ran else "onnxruntime_onnx")
    assert described == {"name": "mood", "versions": ["1"], "inputs": inputs, "outputs": outputs}


def matrix_body(rows: int = 2) -> dict[str, Any]:
    """A V2 request as Triton takes it, written out by hand."""
    body = body_of(shop_rows(rows).assign(rain=1.0))
    for one in body["inputs"]:
        one["shape"] = [rows, 1]
    return body


def change(column: str, **fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda body: next(one for one in body["inputs"] if one["name"] == column).update(fields)


def everything(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda body: [one.update(fields) for one in body["inputs"]]


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], int, str]] = {
    "null": (change("rain", data=[None, 1.0]), 500, "attempt to access JSON non-number as double"),
    "null text": (change("town", data=[None, "Oslo"]), 500, "attempt to access JSON non-string as string"),
    "text for a number": (change("rain", data=["x", 1.0]), 500, "attempt to access JSON non-number as double"),
    "fraction for a whole": (change("visits", data=[1, 2.5]), 500, "JSON non-signed-integer as signed-integer"),
    "too large a whole": (change("visits", data=[1, 10**30]), 500, "JSON non-signed-integer as signed-integer"),
    "number for bool": (change("open", data=[True, 1]), 500, "attempt to access JSON non-boolean as boolean"),
    "fewer values than shape": (change("rain", data=[1.0]), 500, "Shape does not match true shape"),
    "one dimension": (change("rain", shape=[2]), 400, "unexpected shape for input 'rain' for model 'mood'"),
    "other datatype": (change("rain", datatype="FP32"), 400, "'rain' data-type is 'FP32', but model 'mood' expects"),
    "unknown column": (change("rain", name="rein"), 400, "unexpected inference input 'rein' for model 'mood'"),
    "missing column": (lambda body: body["inputs"].pop(0), 400, "expected 6 inputs but got 5 inputs for model 'mood'"),
    "column twice": (lambda body: body["inputs"].append(body["inputs"][0]), 400, "'price' already exists in request"),
    "unknown output": (lambda body: body.update(outputs=[{"name": "x"}]), 400, "unexpected inference output 'x'"),
    "unequal lengths": (change("rain", shape=[1, 1], data=[1.0]), 400, "batch size does not match other inputs"),
    "no inputs": (lambda body: body.clear(), 500, "non-existing object member 'inputs'"),
    "unknown category": (change("town", data=["Atlantis", "Oslo"]), 500, "Unknown Category"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_gets_tritons_words_and_the_server_stays_up(triton: RunningServer, kind: str) -> None:
    edit, status, words = BAD[kind]
    body = matrix_body()
    edit(body)
    answer = requests.post(f"{triton.url}/v2/models/mood/infer", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert requests.get(f"{triton.url}/v2/models/mood/ready").status_code == 200


def test_more_rows_than_the_batch_are_refused(triton: RunningServer) -> None:
    answer = requests.post(f"{triton.url}/v2/models/mood/infer", json=matrix_body(MAX_BATCH_SIZE + 1))
    assert (answer.status_code, f"batch-size must be <= {MAX_BATCH_SIZE}" in answer.text) == (400, True)
    answer = requests.post(f"{triton.url}/v2/models/mood/infer", json=matrix_body(MAX_BATCH_SIZE))
    assert answer.json()["outputs"][0]["shape"] == [MAX_BATCH_SIZE, 1]


def test_another_model_is_a_404_and_not_ready(triton: RunningServer) -> None:
    answer = requests.post(f"{triton.url}/v2/models/other/infer", json=matrix_body())
    assert (answer.status_code, answer.json()) == (404, {"error": "Request for unknown model: 'other' is not found"})
    assert requests.get(f"{triton.url}/v2/models/other/ready").status_code == 400


def no_weights(folder: Path) -> None:
    (folder / "mood" / "1" / "model.onnx").unlink()


def truncated(folder: Path) -> None:
    weights = folder / "mood" / "1" / "model.onnx"
    weights.write_bytes(weights.read_bytes()[:5000])


def no_config(folder: Path) -> None:
    (folder / "mood" / "config.pbtxt").unlink()


def never_exported(folder: Path) -> None:
    shutil.rmtree(folder / "mood")


@pytest.mark.skipif(shutil.which("tritonserver") is not None, reason="the words are the stand-in's")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_weights, "mood/1/model.onnx: ONNX Runtime can't load the model: .* doesn't exist"),
        (truncated, "mood/1/model.onnx: ONNX Runtime can't load the model: .*[Pp]rotobuf parsing failed"),
        (no_config, "config.pbtxt is missing"),
        (never_exported, "has no folder with a model; was it trained for kserve-tritonserver"),
    ],
)
def test_a_wrong_repository_is_refused_at_the_start_with_the_reason(
    mood_repository: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    folder = shutil.copytree(mood_repository, tmp_path / "model")
    damage(folder)
    with (
        pytest.raises(OstinatoError, match=rf"ended with exit code 1: error: .*{words}"),
        serving(folder, "mood", runtime=TRITON),
    ):
        pass


def test_a_protocol_that_it_does_not_speak_is_refused(mood_repository: Path) -> None:
    with (
        pytest.raises(InputError, match="kserve-tritonserver does not speak 'v1'; ask it over v2"),
        serving(mood_repository, "mood", runtime=TRITON, protocol="v1"),
    ):
        pass


def test_a_gap_is_sent_as_the_nan_that_triton_reads(triton: RunningServer, mood_repository: Path) -> None:
    rows = shop_rows(50, seed=3).assign(rain=math.nan)
    found = ServedModel(triton.url, "mood").infer(rows)
    assert found.tolist() == load_model(mood_repository).predict(rows).tolist()
