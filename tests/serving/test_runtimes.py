"""A runtime that can't load the model is refused before anything runs; an image of one's own is an entry in a file."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import yaml
from harness.command_line import ROOT, Finished

from delivery.models.folder import load_model
from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import serving
from delivery.serving.runtime_table import OWN_TABLE, runtimes
from training.errors import InputError, OstinatoError
from training.spec import ServingSpec

MODEL = "demand-forecaster"
Run = Callable[..., Finished]

OWN = {
    "about": "Our image.",
    "formats": {"mlflow": ["skops"]},
    "protocols": ["v2"],
    "loading_runs_code": False,
    "sources": ["our image of 2026-11"],
}


def spec_with(workspace: Path, serving: str) -> None:
    path = workspace / "training" / "demand_forecaster" / "spec.yaml"
    text = path.read_text()
    assert "  runtime: ostinato-mlflow\n" in text
    path.write_text(text.replace("  runtime: ostinato-mlflow\n", "".join(f"  {one}\n" for one in serving.split("; "))))


REFUSED = {
    "unknown": (
        "runtime: kserve-tritonsever",
        "serving.runtime: 'kserve-tritonsever' is no known runtime. Did you mean 'kserve-tritonserver'?",
        OWN_TABLE,
    ),
    "other format": (
        "runtime: kserve-tritonserver",
        "serving.model_format: kserve-tritonserver does not load 'mlflow'. Known: onnx.",
    ),
    "other protocol": (
        "runtime: kserve-tritonserver; model_format: onnx; protocol: v1",
        "serving.protocol: kserve-tritonserver does not speak v1; write protocol: v2",
    ),
    "pickles and other versions": (
        "runtime: kserve-sklearnserver; model_format: sklearn",
        "serving.runtime: kserve-sklearnserver can't serve this model: it loads sklearn from joblib files only",
        "train saves skops, whose loading runs none",
        "its image has scikit-learn 1.5.2, this environment trains with 1.9",
        "What fits: runtime: ostinato-mlflow with model_format: mlflow, or runtime: kserve-tritonserver",
    ),
    "stock MLServer": (
        "runtime: kserve-mlserver",
        "kserve-mlserver can't serve this model: it loads mlflow from cloudpickle files only",
        "its image has mlflow 2.19, this environment trains with 3.",
    ),
    "language models": ("runtime: kserve-vllmserver; model_format: vLLM", "serves generation, and the task is regr"),
    "Hugging Face": ("runtime: kserve-huggingfaceserver", "serves generation, and the task is regression"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_runtime_that_can_not_load_the_model_is_refused_before_anything_runs(
    workspace: Path, ostinato: Run, kind: str
) -> None:
    serving, *said = REFUSED[kind]
    spec_with(workspace, serving)
    for command in (["validate", MODEL], ["run", MODEL], ["compile", MODEL, "-o", "package.yaml"]):
        done = ostinato(*command, expect=2)
        for words in said:
            assert words in done.err, done.err
        assert done.err.count("error: ") == 1
        assert not (workspace / ".ostinato").exists() and not (workspace / "package.yaml").exists()


def test_every_entry_says_where_it_is_from_and_the_default_is_one() -> None:
    known = runtimes(None)
    assert {"ostinato-mlflow", "kserve-sklearnserver", "kserve-mlserver", "kserve-tritonserver"} <= set(known)
    for name, runtime in known.items():
        assert all(re.match(r"https://|manifests/|.*measured", source) for source in runtime.sources), name
        assert set(runtime.needs) <= set(runtime.libraries), name
    default = ServingSpec()
    assert (
        default.model_format in known[default.runtime].formats and default.protocol in known[default.runtime].protocols
    )


def test_a_changed_runtime_trains_again_only_if_it_needs_another_file(workspace: Path, ostinato: Run) -> None:
    run = ("run", MODEL, "--until", "train", "--param", "as_of=2011-06-01", "--param", "max_iter=5", "--json")

    def origin() -> str:
        return yaml.safe_load(ostinato(*run, expect=0).out)["steps"]["train"]["origin"]

    assert origin() == "run"
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    spec.write_text(spec.read_text().replace("max_replicas: 3", "max_replicas: 4"))
    assert origin() == "cache"
    spec_with(workspace, "runtime: kserve-tritonserver; model_format: onnx")
    assert origin() == "run"
    (exported,) = (workspace / ".ostinato").glob("runs/*/train/*/candidate/demand-forecaster/1/model.onnx")
    assert (exported.parents[1] / "config.pbtxt").is_file()
    assert [one.name for one in exported.parents[2].iterdir() if one.is_dir()] == [MODEL]


def test_the_gate_proves_a_model_on_the_runtime_that_its_spec_names(workspace: Path, ostinato: Run) -> None:
    spec_with(workspace, "runtime: kserve-tritonserver; model_format: onnx")
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    text, count = re.subn(r"\{kind: servable[^}]*\}", "{kind: servable, tolerance: 1.0e-5}", spec.read_text())
    assert count == 1
    spec.write_text(text)
    run = ("run", MODEL, "--until", "evaluate", "--param", "as_of=2011-06-01", "--param", "max_iter=20", "--json")
    verdict = yaml.safe_load(ostinato(*run).out)["verdict"]
    (check,) = [one for one in verdict["checks"] if one["kind"] == "servable"]
    assert check["status"] == "passed", check
    assert re.search(r"kserve-tritonserver, (onnxruntime|triton) [\d.]+", check["reason"])


def own_table(folder: Path, **changes: object) -> None:
    (folder / OWN_TABLE).write_text(yaml.safe_dump({"own-image": {**OWN, **changes}}))


def test_an_image_of_ones_own_is_an_entry_in_the_workspace(workspace: Path, ostinato: Run) -> None:
    own_table(workspace)
    spec_with(workspace, "runtime: own-image")
    assert "own-image loads mlflow and speaks v2" in ostinato("validate", MODEL, expect=0).out


BROKEN = {
    "other versions": (
        {"libraries": {"scikit-learn": "1.6.0"}, "needs": {"scikit-learn": "minor"}},
        "own-image can't serve this model: its image has scikit-learn 1.6.0, this environment trains with 1.9",
    ),
    "no version": ({"needs": {"mlflow": "major"}}, "its image has mlflow of an unknown version"),
    "unknown field": ({"abuot": "x"}, "own-image.abuot: Extra inputs are not permitted (got 'x')"),
    "unknown weights": ({"formats": {"mlflow": ["pickle"]}}, "own-image.formats.mlflow.0: Input should be 'skops', "),
    "no source": ({"sources": []}, "own-image.sources: Tuple should have at least 1 item"),
    "a number as version": ({"libraries": {"mlflow": 3.17}}, "own-image.libraries.mlflow: Input should be a valid str"),
    "unknown library": (
        {"needs": {"scikit-lern": "minor"}},
        "'scikit-lern' is no library that a model is trained with",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_entry_is_named_with_file_field_and_value(workspace: Path, ostinato: Run, kind: str) -> None:
    changes, said = BROKEN[kind]
    own_table(workspace, **changes)
    spec_with(workspace, "runtime: own-image")
    done = ostinato("validate", MODEL, expect=2)
    assert said in done.err, done.err
    assert kind in ("other versions", "no version") or str(workspace / OWN_TABLE) in done.err


def test_a_table_that_is_no_yaml_is_named(workspace: Path, ostinato: Run) -> None:
    (workspace / OWN_TABLE).write_text("own-image: [")
    assert f"{workspace / OWN_TABLE} is not YAML" in ostinato("run", MODEL, expect=2).err


THROUGH_A_SHELL = [
    "bash",
    "-c",
    '"$0" -m delivery.serving.server.server --model_dir "$1" --model_name "$2" --http_port "$3"; exit $?',
    *("{python}", "{model_dir}", "{model_name}", "{http_port}"),
]
"""A program that is not ours, with the server as its child."""


@pytest.fixture
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "training").mkdir()
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def test_an_own_runtime_is_started_by_its_own_command_and_gone_after_the_block(
    own_workspace: Path, regressor: Path, test_rows: pd.DataFrame
) -> None:
    own_table(own_workspace, start={"command": THROUGH_A_SHELL, "environment": {"KSERVE_NAME": "{model_name}"}})
    with serving(regressor, "amount", runtime="own-image") as served:
        found = ServedModel(served.url, "amount").infer(test_rows)
        assert served.ran.startswith("own-image, kserve ")
    np.testing.assert_array_equal(found, load_model(regressor).predict(test_rows))
    with pytest.raises(requests.ConnectionError):
        requests.get(served.url, timeout=5)


def test_an_own_runtime_ends_when_the_process_that_started_it_is_killed(own_workspace: Path, regressor: Path) -> None:
    own_table(own_workspace, start={"command": THROUGH_A_SHELL})
    code = (
        "import sys, time; from pathlib import Path; from delivery.serving.process.process import serving\n"
        "with serving(Path(sys.argv[1]), 'amount', runtime='own-image') as served:\n"
        "    print(served.url, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(regressor)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert requests.get(f"{url}/v2/health/live", timeout=5).status_code == 200
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while answers(url) and time.monotonic() < end:
        pass
    assert not answers(url)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.RequestException:
        return False


NOT_HERE = {
    "no start": ({}, OstinatoError, "own-image can't be started on this machine: its entry has no start"),
    "no program": ({"start": {"command": ["no-such-server"]}}, OstinatoError, "there is no no-such-server; install"),
    "no place": (
        {"start": {"command": ["bash", "{model}"]}},
        InputError,
        "'model' is no place to fill in; known: pyth",
    ),
    "ends": ({"start": {"command": ["bash", "-c", "echo full; exit 7"]}}, OstinatoError, "exit code 7: full"),
}


@pytest.mark.parametrize("kind", NOT_HERE)
def test_a_runtime_that_can_not_run_here_is_an_error_that_says_how_it_could(
    own_workspace: Path, regressor: Path, kind: str
) -> None:
    changes, error, said = NOT_HERE[kind]
    own_table(own_workspace, **changes)
    with pytest.raises(error, match=said), serving(regressor, "amount", runtime="own-image"):
        pass


def test_protocol_v1_is_asked_over_v1(regressor: Path, classifier: Path, test_rows: pd.DataFrame) -> None:
    for folder, name in ((regressor, "amount"), (classifier, "mood")):
        with serving(folder, name, runtime="ostinato-mlflow", protocol="v1") as served:
            found = ServedModel(served.url, name, protocol="v1").infer(test_rows)
        assert found.tolist() == load_model(folder).predict(test_rows).tolist()


MLSERVER = {
    **OWN,
    "libraries": {"mlserver": "1.7.1", "mlflow": "3.17.2", "scikit-learn": "1.9.1", "skops": "0.16.0"},
    "needs": {"mlflow": "major", "scikit-learn": "minor", "skops": "minor"},
    "loading_runs_code": True,
    "start": {
        "command": ["", "start", "{empty_dir}"],
        "environment": {
            "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
            "MLSERVER_MODEL_URI": "{model_dir}",
            "MLSERVER_MODEL_NAME": "{model_name}",
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{http_port}",
            "MLSERVER_GRPC_PORT": "{grpc_port}",
            "MLSERVER_METRICS_PORT": "{metrics_port}",
            "MLSERVER_PARALLEL_WORKERS": "0",
        },
    },
}
"""The example of docs/how-to/serving.md, with the program of the environment that is named."""


def test_an_mlserver_with_our_versions_serves_the_folder_as_it_is(
    own_workspace: Path, regressor: Path, classifier: Path, test_rows: pd.DataFrame
) -> None:
    python = os.environ.get("OSTINATO_MLSERVER_PYTHON")
    if not python:
        pytest.skip("OSTINATO_MLSERVER_PYTHON names no Python with mlserver, mlserver-mlflow, mlflow and skops")
    start = MLSERVER["start"]
    start["command"][0] = str(Path(python).with_name("mlserver"))
    (own_workspace / OWN_TABLE).write_text(yaml.safe_dump({"own-image": MLSERVER}))
    for folder, name in ((regressor, "amount"), (classifier, "mood")):
        with serving(folder, name, runtime="own-image") as served:
            assert served.ran.startswith("own-image, mlserver 1.")
            found = ServedModel(served.url, name).infer(test_rows)
        assert found.tolist() == load_model(folder).predict(test_rows).tolist()
