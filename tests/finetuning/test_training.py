"""What a fine-tuning promises, whatever its options."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.finetuning.conftest import Conversations, log_of, same_weights, weights
from training.errors import InputError
from training.finetuning import FineTuning, fine_tune

FULL: dict[str, Any] = {
    "method": "full",
    "learning_rate": 3e-3,
    "batch_size": 8,
    "max_steps": 4,
    "max_length": 256,
    "precision": "fp32",
    "scheduler": "constant",
}
LORA = {**FULL, "method": "lora", "lora_rank": 4, "learning_rate": 1e-2}


def trained(conversations: Conversations, base: Path, work: Path, seed: int = 0, **options: Any) -> Path:
    return fine_tune(conversations, base, FineTuning(**options), seed, work)


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, base: Path, conversations: Conversations) -> Path:
    return trained(conversations, base, tmp_path_factory.mktemp("full"), **FULL)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, base: Path, conversations: Conversations) -> Path:
    return trained(conversations, base, tmp_path_factory.mktemp("lora"), **LORA)


def test_a_full_training_learns_and_leaves_a_whole_hugging_face_folder(full: Path, base: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    losses = log_of(full)["loss"]
    assert losses[-1] < losses[0] - 0.5
    before, after = weights(base), weights(full)
    assert before.keys() == after.keys() and not any(before[name].equal(after[name]) for name in before)
    others = {path.name: path.read_bytes() for path in base.iterdir() if path.suffix != ".safetensors"}
    assert {name: (full / name).read_bytes() for name in others} == others
    loaded: Any = AutoModelForCausalLM.from_pretrained(full, output_loading_info=True)
    _, found = loaded
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert AutoTokenizer.from_pretrained(full).chat_template


def test_weights_are_stored_in_the_base_models_own_precision(
    tmp_path: Path, base: Path, conversations: Conversations
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(base, tmp_path / "bf16")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "bf16")
    result = trained(conversations, tmp_path / "bf16", tmp_path / "work", **{**FULL, "max_steps": 1})
    assert {one.dtype for one in weights(result).values()} == {torch.bfloat16}


def test_lora_learns_in_an_adapter_that_the_base_model_takes(lora: Path, base: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert {path.name for path in lora.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert log_of(lora)["loss"][-1] < log_of(lora)["loss"][0] - 0.3
    ids = torch.arange(3, 40)[None]
    alone = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), lora)(ids).logits
    assert not torch.allclose(alone, adapted, atol=1e-2)


def test_targets_of_lora_are_those_that_were_named(tmp_path: Path, base: Path, conversations: Conversations) -> None:
    options = {**LORA, "max_steps": 1, "lora_targets": "q_proj, v_proj", "lora_rank": 2}
    names = weights(trained(conversations, base, tmp_path, **options))
    assert names and all("q_proj" in name or "v_proj" in name for name in names)
    assert {one.shape[0] for name, one in names.items() if "lora_A" in name} == {2}


def test_the_same_training_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, full: Path, lora: Path, base: Path, conversations: Conversations
) -> None:
    bf16 = trained(conversations, base, tmp_path / "bf16", **{**FULL, "precision": "auto"})
    assert bytes_of(trained(conversations, base, tmp_path / "1", **FULL)) == bytes_of(full)
    assert bytes_of(trained(conversations, base, tmp_path / "2", **LORA)) == bytes_of(lora)
    assert not same_weights(trained(conversations, base, tmp_path / "3", seed=1, **FULL), full)
    assert log_of(bf16)["loss"] == pytest.approx(log_of(full)["loss"], rel=0.02)


@pytest.mark.parametrize(
    "how", [{"packing": False}, {"gradient_accumulation": 4}, {"gradient_checkpointing": True, "attention": "eager"}]
)
def test_how_it_is_computed_does_not_change_what_is_learned(
    tmp_path: Path, full: Path, base: Path, conversations: Conversations, how: dict[str, Any]
) -> None:
    result = trained(conversations, base, tmp_path, **FULL, **how)
    assert log_of(result)["loss"] == pytest.approx(log_of(full)["loss"], rel=1e-4)
    assert log_of(result)["tokens"] == log_of(full)["tokens"]


def test_the_loss_is_the_mean_over_the_answers_tokens(base: Path, conversations: Conversations, full: Path) -> None:
    """The first step's loss, computed here one conversation at a time by the model's own forward."""
    import torch
    from transformers import AutoModelForCausalLM

    from training.finetuning.base import load_tokenizer
    from training.finetuning.batches import order
    from training.finetuning.examples import Window, tokenise

    model = AutoModelForCausalLM.from_pretrained(base)
    examples = tokenise(conversations, load_tokenizer(base), Window(256, "", ""))
    summed, tokens = 0.0, 0
    for index in order(len(examples), 8, seed=0):
        labels = torch.tensor([examples[index].labels])
        learned = int((labels != -100).sum())
        with torch.no_grad():
            summed += model(torch.tensor([examples[index].input_ids]), labels=labels).loss.item() * learned
        tokens += learned
    assert log_of(full)["loss"][0] == pytest.approx(summed / tokens, rel=1e-5)


def test_our_loss_and_its_gradient_are_those_of_trls_own_head(base: Path, conversations: Conversations) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from training.finetuning.base import load_tokenizer
    from training.finetuning.batches import Collator
    from training.finetuning.examples import Window, tokenise
    from training.finetuning.head import add_answer_loss

    examples = tokenise(conversations, load_tokenizer(base), Window(256, "", ""))
    rows = [{"number": one.number, "input_ids": one.input_ids, "labels": one.labels} for one in examples]
    batch = Collator(padding=0, packing=True)(rows)
    inputs = {name: batch[name] for name in ("input_ids", "labels", "position_ids")}
    ours = AutoModelForCausalLM.from_pretrained(base)
    add_answer_loss(ours)
    theirs = AutoModelForCausalLM.from_pretrained(base)
    add_fused_lm_head(theirs)
    mine = ours(**inputs, answer_loss=True)
    other = -theirs(**inputs, fused_lm_head=True).log_probs.sum()
    mine.backward()
    other.backward()
    assert mine.item() == pytest.approx(other.item(), rel=1e-5)
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-4)


def test_early_stopping_keeps_the_weights_with_the_lowest_held_out_loss(
    tmp_path: Path, base: Path, conversations: Conversations
) -> None:
    options = {**FULL, "learning_rate": 0.3, "max_steps": 30, "checkpoint_every": 1}
    result = trained(conversations, base, tmp_path, eval_share=0.25, early_stopping_patience=2, **options)
    held = [entry["loss"] for entry in log_of(result)["held_out_loss"]]
    best = held.index(min(held))
    assert len(held) == best + 3 < 30 and log_of(result)["held_out"] == 6
    shorter = {**options, "max_steps": best + 1}
    assert same_weights(result, trained(conversations, base, tmp_path, eval_share=0.25, **shorter))


def test_progress_is_told_in_lines_and_in_the_log(
    tmp_path: Path, base: Path, conversations: Conversations, capsys: pytest.CaptureFixture[str]
) -> None:
    result = trained(conversations, base, tmp_path, **{**LORA, "max_steps": None, "epochs": 2.0})
    said = capsys.readouterr().out
    log = log_of(result)
    assert log["steps"] == 6 and len(log["loss"]) == 6 and log["seconds"] > 0
    assert f"step 6/6  loss {log['loss'][-1]:.4f}" in said and "tokens/s" in said


def test_prompt_trains_nothing(tmp_path: Path, base: Path, conversations: Conversations) -> None:
    assert trained(conversations, base, tmp_path, method="prompt") == base
    assert not any(tmp_path.iterdir())


def test_what_was_trained_before_is_not_trained_again(
    tmp_path: Path, base: Path, conversations: Conversations, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained(conversations, base, tmp_path, **{**LORA, "max_steps": 1})
    capsys.readouterr()
    assert trained(conversations, base, tmp_path, **{**LORA, "max_steps": 1}) == first
    assert "step" not in capsys.readouterr().out


def test_the_entry_point_of_the_model_folder_fine_tunes(
    tmp_path: Path, base: Path, conversations: Conversations
) -> None:
    from training.llm_qa.model import Hyperparameters, train

    result = train(conversations, base, Hyperparameters(**{**LORA, "max_steps": 1}), 0, tmp_path)
    assert result.is_relative_to(tmp_path) and (result / "adapter_config.json").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 6, "gradient_accumulation": 4}, "take 4"),
        ({"early_stopping_patience": 2}, "set eval_share"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"lora_targets": "q_proj;v_proj"}, "lora_targets"),
        ({"eval_share": 0.6}, "eval_share"),
        ({"max_lenght": 10}, "max_lenght"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FineTuning(**options)


def test_a_share_that_holds_out_everything_is_refused(tmp_path: Path, base: Path, conversations: Conversations) -> None:
    with pytest.raises(InputError, match="holds out all 1 conversations"):
        trained(conversations[:1], base, tmp_path, **{**LORA, "eval_share": 0.5})
