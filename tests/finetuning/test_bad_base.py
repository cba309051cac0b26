"""Base models, machines and numbers that can't be trained with."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.finetuning.conftest import Conversations
from training.errors import InputError, OstinatoError
from training.finetuning import FineTuning, fine_tune

SHORT: dict[str, Any] = {"max_steps": 2, "batch_size": 4, "max_length": 256, "precision": "fp32"}


@pytest.fixture
def broken(tmp_path: Path, base: Path) -> Path:
    return shutil.copytree(base, tmp_path / "broken")


def refused(conversations: Conversations, base: Path, work: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        fine_tune(conversations, base, FineTuning(**{**SHORT, **options}), 0, work)
    return str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_an_incomplete_folder_is_told_with_the_missing_file(
    broken: Path, tmp_path: Path, conversations: Conversations, name: str
) -> None:
    (broken / name).unlink()
    message = refused(conversations, broken, tmp_path / "work")
    assert "is incomplete" in message and name in message


def test_a_missing_shard_is_told(broken: Path, tmp_path: Path, conversations: Conversations) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (broken / "model.safetensors.index.json").write_text(json.dumps(index))
    (broken / "model.safetensors").rename(broken / "model-1.safetensors")
    assert "model-2.safetensors missing" in refused(conversations, broken, tmp_path / "work")


def test_a_folder_that_is_none_is_told(tmp_path: Path, conversations: Conversations) -> None:
    assert "is no folder" in refused(conversations, tmp_path / "nowhere", tmp_path / "work")


def test_a_tokenizer_without_a_chat_template_is_refused(
    broken: Path, tmp_path: Path, conversations: Conversations
) -> None:
    (broken / "chat_template.jinja").unlink()
    assert "no chat template" in refused(conversations, broken, tmp_path / "work")


def test_weights_cut_short_are_refused(broken: Path, tmp_path: Path, conversations: Conversations) -> None:
    path = broken / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "can't be read" in refused(conversations, broken, tmp_path / "work")


def test_weights_that_lack_a_layer_are_refused_not_made_up(
    broken: Path, tmp_path: Path, conversations: Conversations
) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    message = refused(conversations, broken, tmp_path / "work")
    assert "don't fit its config.json" in message and "model.layers.2" in message


def test_the_models_own_window_bounds_a_conversation(
    broken: Path, tmp_path: Path, conversations: Conversations
) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 20}))
    message = refused(conversations, broken, tmp_path / "work")
    assert (
        "the model's window (max_position_embeddings" in message
        and "allows 20" in message
        and "take a base model" in message
    )


def test_flash_attention_where_it_is_not_installed_is_refused(
    base: Path, tmp_path: Path, conversations: Conversations
) -> None:
    message = refused(conversations, base, tmp_path, attention="flash_attention_2")
    assert "flash-attn" in message and "set it to sdpa" in message


def test_a_loss_that_is_no_number_stops_at_once_and_names_step_and_conversations(
    broken: Path, tmp_path: Path, conversations: Conversations
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OstinatoError, match=r"the loss is nan in step 1.*conversations \d+: 'What is") as caught:
        fine_tune(conversations, broken, FineTuning(**SHORT), 0, tmp_path / "work")
    assert caught.value.exit_code == 1 and str(caught.value).count("'What is") == 4
    assert not list((tmp_path / "work").glob("*/adapter"))


def test_a_gradient_without_bounds_stops_too(broken: Path, tmp_path: Path, conversations: Conversations) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"] *= 1e25
    tensors["model.embed_tokens.weight"] *= 1e-3
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OstinatoError, match=r"norm of the gradient is (inf|nan) in step 1"):
        fine_tune(conversations, broken, FineTuning(**{**SHORT, "method": "full"}), 0, tmp_path / "work")


OUT_OF_MEMORY = """
import json, resource, sys
from pathlib import Path
import torch, transformers, trl, peft
from trl.trainer.sft_trainer import SFTTrainer
from training.errors import OstinatoError
from training.finetuning import FineTuning, fine_tune
given = json.loads(sys.argv[1])
long = [[{"role": "user", "content": "Again? " * 60}, {"role": "assistant", "content": "Yes. " * 20}]] * 96
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (250 << 20), used + (250 << 20)))
try:
    fine_tune(long, Path(given["base"]), FineTuning(**given["options"]), 0, Path(given["work"]))
except OstinatoError as error:
    print(error)
"""


def test_out_of_memory_says_what_is_in_use_and_what_to_lower(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    options = {**SHORT, "batch_size": 96, "attention": "eager", "packing": False, "max_length": 512}
    said, errors = start(tmp_path, options, OUT_OF_MEMORY).communicate(timeout=120)
    assert "out of memory while training: 96 conversations of up to" in said, errors[-3000:]
    assert "raise gradient_accumulation (now 1) or lower batch_size" in said
    assert "gradient_checkpointing: true" in said and "max_length (now 512)" in said


def test_a_gpus_own_out_of_memory_error_is_explained_alike() -> None:
    """Raised here by hand, since no GPU is: PyTorch's error of a CUDA device that is full."""
    import torch

    from training.finetuning.training_failures import memory_explained

    with (
        pytest.raises(OstinatoError, match=r"out of memory.*4 conversations of up to 100 tokens.*CUDA out of memory"),
        memory_explained(FineTuning(batch_size=4), 4, 100),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
    with pytest.raises(RuntimeError, match="shape"), memory_explained(FineTuning(), 4, 100):
        raise RuntimeError("shape mismatch")


def test_bf16_on_hardware_without_it_is_refused_and_auto_takes_fp32() -> None:
    """PyTorch is told to use no more than AVX2, as on an older processor."""
    script = (
        "from training.errors import InputError\nfrom training.finetuning.base import precision_of\n"
        "print(precision_of('auto'), precision_of('fp32'))\n"
        "try: precision_of('bf16')\nexcept InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": str(Path(__file__).parents[2]), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("fp32 fp32\nhyperparameters.precision is bf16, in which this hardware does not")
    assert "set it to auto or fp32" in done.stdout


def test_without_the_extra_the_package_imports_and_says_what_to_install(tmp_path: Path) -> None:
    """As in a base install: the libraries can't be found."""
    script = (
        "import sys\nfor name in ('torch', 'trl', 'peft', 'transformers', 'accelerate'): sys.modules[name] = None\n"
        "from pathlib import Path\nfrom training.errors import InputError\n"
        "from training.llm_qa.model import Hyperparameters, train\n"
        "try: train([], Path('.'), Hyperparameters(), 0, Path('.'))\nexcept InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "fine-tuning needs torch, transformers, trl, peft, accelerate" in done.stdout
    assert "install ostinato[llm] (in a checkout: make llm)" in done.stdout
