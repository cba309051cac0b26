"""How a language model's runtime is started here: with the cluster's arguments, and with LoRA weights apart."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import language_spec
from serving.talkers import ANSWERS, NAME, QUESTIONS, asks

from delivery.kserve.draining import finishing_options
from delivery.kserve.language_server import arguments
from delivery.kserve.mirror import OPENAI_ROUTES
from delivery.serving.clients.chat import ChatModel, SamplingParameters
from delivery.serving.process.language_arguments import language_places
from delivery.serving.process.process import serving
from delivery.serving.process.start_command import command_of
from delivery.serving.runtime_table import runtimes
from delivery.serving.runtimes import check_runtime
from training.errors import InputError, OstinatoError
from training.spec.generation import EngineSpec

HUGGINGFACE, VLLM = "kserve-huggingfaceserver", "kserve-vllmserver"
FORMATS = {HUGGINGFACE: "huggingface", VLLM: "vLLM"}
PORTS = {"http_port": "1", "grpc_port": "2", "metrics_port": "3"}
GPUS = {"cpu": "4", "memory": "16Gi", "accelerator": {"type": "nvidia.com/gpu", "count": 2}}
ENGINE = {
    "backend": "vllm",
    "max_model_len": 512,
    "dtype": "bfloat16",
    "tensor_parallel": 2,
    "gpu_memory_utilization": 0.5,
}


def folder_of(path: Path, rank: int | None = None) -> Path:
    path.mkdir()
    (path / "config.json").write_text('{"max_position_embeddings": 1024}')
    if rank:
        (path / "adapter").mkdir()
        (path / "adapter" / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return path


def command(name: str, folder: Path, engine: EngineSpec) -> list[str]:
    places = language_places(folder, "llm-qa", engine)
    about = {"model_dir": str(folder), "model_name": "llm-qa", "empty_dir": "/empty"}
    return command_of(name, runtimes(None)[name], {**about, **PORTS, **places})[0]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both runtimes have a Python."""
    for name in ("HUGGINGFACESERVER", "VLLM"):
        monkeypatch.setenv(f"OSTINATO_{name}_PYTHON", sys.executable)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rank", [None, 24])
@pytest.mark.parametrize("engine", [{"backend": "vllm"}, ENGINE])
def test_the_runtime_gets_the_arguments_that_the_manifest_gives_it(
    own: None, tmp_path: Path, name: str, rank: int | None, engine: dict[str, Any]
) -> None:
    folder = folder_of(tmp_path / "model", rank)
    training = {"adapter": "separate", "hyperparameters": {"lora_rank": rank}} if rank else {}
    gpus = {"resources": GPUS} if "tensor_parallel" in engine else {}
    spec = language_spec(
        training=training, runtime=name, model_format=FORMATS[name], engine=EngineSpec(**engine), **gpus
    )
    told = {one.replace("/mnt/models", str(folder)) for one in arguments(spec, spec.name)}
    told -= set(finishing_options(spec.serving))  # the gate ends its server when no request is left
    found = command(name, folder, spec.serving.engine)
    assert told <= set(found)
    assert found[found.index(sys.executable, 2) + 1] == "-m"
    assert not any("None" in one or "{" in one for one in found)
    assert any(one.startswith("--lora") for one in found) == (rank is not None)


def test_the_routes_are_those_that_the_manifests_know(own: None) -> None:
    assert {name: f"/{runtimes(None)[name].openai_path}" for name in FORMATS} == OPENAI_ROUTES


def test_without_a_huggingfaceserver_a_stand_in_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSTINATO_HUGGINGFACESERVER_PYTHON", raising=False)
    found = command(HUGGINGFACE, folder_of(tmp_path / "model"), EngineSpec(max_model_len=99))
    assert "delivery.serving.stand_ins.huggingface" in found and "--max_model_len=99" in found
    assert not any(one.startswith(("--lora", "--backend")) for one in found)


def test_without_vllm_it_is_said_what_would_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, bin_ = folder_of(tmp_path / "model"), tmp_path / "bin"
    monkeypatch.delenv("OSTINATO_VLLM_PYTHON", raising=False)
    monkeypatch.setenv("PATH", str(bin_))
    with pytest.raises(OstinatoError, match=r"can't be started on this machine: name a Python .* OSTINATO_VLLM_PYTHON"):
        command(VLLM, folder, EngineSpec())
    bin_.mkdir()
    for program in ("vllm", "python3"):
        (bin_ / program).write_text("#!/bin/sh\n")
        (bin_ / program).chmod(0o755)
    assert str(bin_ / "python3") in command(VLLM, folder, EngineSpec())
    monkeypatch.setenv("OSTINATO_VLLM_PYTHON", "/no/python")
    with pytest.raises(InputError, match="OSTINATO_VLLM_PYTHON is '/no/python', which is no program"):
        command(VLLM, folder, EngineSpec())


def test_a_spec_of_a_language_model_is_checked_against_the_table() -> None:
    assert check_runtime(language_spec(), None).openai_path == "openai/v1"
    with pytest.raises(InputError, match="does not load 'mlflow'") as caught:
        check_runtime(language_spec(model_format="mlflow"), None)
    assert (
        "What fits: runtime: kserve-huggingfaceserver with model_format: huggingface, or runtime: kserve-vllmserver "
        "with model_format: vLLM" in str(caught.value)
    )
    with pytest.raises(InputError, match="ostinato-mlflow serves regression and classification, and the task is gen"):
        check_runtime(language_spec(runtime="ostinato-mlflow", model_format="mlflow"), None)


def test_a_window_that_is_less_than_the_models_holds_and_one_that_is_more_does_not_start(talker: Path) -> None:
    about: dict[str, Any] = {"runtime": HUGGINGFACE, "protocol": "openai"}
    too_long = pytest.raises(InputError, match="max_model_len is 300, and the window of the model has 256 tokens")
    with too_long, serving(talker, NAME, engine=EngineSpec(max_model_len=300), **about):
        pass
    with serving(talker, NAME, engine=EngineSpec(max_model_len=48, dtype="bfloat16"), **about) as served:
        model = ChatModel(served.openai, NAME)
        assert model.answer(asks(QUESTIONS[1]), SamplingParameters(16)).text == ANSWERS[QUESTIONS[1]]
        with pytest.raises(OstinatoError, match="maximum context length is 48 tokens"):
            model.answer(asks(QUESTIONS[1]), SamplingParameters(40))


def test_weights_of_an_adapter_answer_to_the_models_name_and_those_below_to_another(
    talker: Path, tmp_path: Path
) -> None:
    import shutil

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = shutil.copytree(talker, tmp_path / "model")
    torch.manual_seed(1)
    adapted: Any = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder), LoraConfig(r=4, target_modules="all-linear")
    )
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights)
    adapted.save_pretrained(folder / "adapter")
    with serving(folder, NAME, runtime=HUGGINGFACE, protocol="openai") as served:
        assert sorted(ChatModel(served.openai, NAME).models()) == [NAME, f"{NAME}-base"]
        said = {
            name: ChatModel(served.openai, name).answer(asks(QUESTIONS[0]), SamplingParameters(24)).text
            for name in (NAME, f"{NAME}-base")
        }
    assert said[f"{NAME}-base"] == ANSWERS[QUESTIONS[0]] != said[NAME]
