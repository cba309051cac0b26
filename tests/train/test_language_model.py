"""What evaluate, register and the runtimes rely on in a language model's folder."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from train.conftest import CONVERSATIONS, Guide

from components.train.language_model import is_language_model, load_language_model
from components.train.model_folder import model_digest
from training.errors import InputError, OstinatoError

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0
QUESTION = [{"role": "user", "content": "Which way is north?"}]


def rendered(folder: Path, messages: list[dict[str, str]]) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


@pytest.mark.parametrize("method", ["prompt", "lora", "full"])
def test_the_folder_is_what_hugging_faces_runtimes_load_and_an_mlflow_model(
    guide: Guide, tmp_path: Path, method: str
) -> None:
    from transformers import AutoModelForCausalLM

    guide.training["system_prompt"] = "prompts/system.md"
    trained = guide.train(tmp_path / "out", method=method)
    out = tmp_path / "out"
    assert trained.framework == "transformers" and trained.digest == model_digest(out) and trained.rows == 2
    assert is_language_model(out)
    model, found = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    loaded = load_language_model(out)
    assert loaded.facts["method"] == method and loaded.facts["rows"] == 2
    assert not list(out.rglob("*.bin")) and not list(out.rglob("*.py"))
    assert (out / "prompts" / "system.md").read_text() == "You are a guide.\n"
    assert rendered(out, QUESTION).startswith("<|im_start|>system\nYou are a guide.<|im_end|>\n<|im_start|>user")
    assert model.dtype == AutoModelForCausalLM.from_pretrained(guide.base).dtype
