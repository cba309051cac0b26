"""A workspace with a language model whose own code is a few lines, and a tiny base model."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.train.steps import Trained, train
from delivery.documents.data_card import CardPart, ColumnCard, DataCard

TEXTS = ["Which way is north?", "Follow the needle.", "How far is it?", "Two hours on foot.", "You are a guide."]
CONVERSATIONS = [
    [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": TEXTS[1]}],
    [{"role": "user", "content": TEXTS[2]}, {"role": "assistant", "content": TEXTS[3]}],
]
OWN_CODE = '''
from pydantic import BaseModel, ConfigDict


class Hyperparameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    method: str = "prompt"
    die_at: int = -1


def train(conversations, base, hyperparameters, seed, work):
    """A trainer of a few steps that writes down where it is, as a real one does."""
    import json, os, signal
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if hyperparameters.method == "prompt":
        return base
    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    if hyperparameters.method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    log, done = work / "training_log.json", work / "steps"
    steps = int(done.read_text()) if done.is_file() else 0
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    curve = []
    for step in range(3):
        rows = [tokenizer.apply_chat_template(one, return_tensors="pt", return_dict=True) for one in conversations]
        loss = sum(model(**one, labels=one["input_ids"]).loss for one in rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        curve.append(loss.item())
        done.write_text(str(steps + step + 1))
        if step == hyperparameters.die_at and steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    log.write_text(json.dumps({"loss": curve}))
    model.save_pretrained(work / "result")
    return work / "result"
'''


@dataclass
class Guide:
    """The workspace of a model called `guide`, and how its train step is run."""

    root: Path
    base: Path
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "training" / "guide"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def write_conversations(self, conversations: list[list[dict[str, str]]]) -> None:
        self.data.mkdir(exist_ok=True)
        rows = pl.DataFrame({"id": [str(i) for i in range(len(conversations))], "messages": conversations})
        rows.write_parquet(self.data / "train.parquet")
        fingerprint = "sha256:" + f"{hash(json.dumps(conversations)) & 0xFFFF:064x}"
        DataCard(
            model="guide",
            source="talk.jsonl",
            snapshot="sha256:" + "1" * 64,
            fingerprint=fingerprint,
            split="by key",
            columns=(ColumnCard(name="messages", dtype="List", role="target", nulls=0),),
            train=CardPart(rows=len(conversations), sha256="3" * 64),
            test=CardPart(rows=1, sha256="4" * 64),
        ).write(self.data / "data.json")

    def train(self, out: Path, code: str = "", **hyperparameters: object) -> Trained:
        spec = {"base_model": {"source": str(self.base)}, "hyperparameters": hyperparameters, **self.training}
        return train("guide", "generation", "", json.dumps(spec), self.data, out, "", code)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from harness.tiny_models import tiny_model

    return tiny_model(tmp_path_factory.mktemp("base") / "tiny", TEXTS, hidden=16, layers=1)


@pytest.fixture
def guide(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    for name in list(os.environ):
        if name.startswith("OSTINATO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path))
    made = Guide(tmp_path, tiny_base)
    (made.folder / "prompts").mkdir(parents=True)
    (made.folder / "prompts" / "system.md").write_text("You are a guide.\n")
    (made.folder / "spec.yaml").write_text("name: guide\n")
    (made.folder / "model.py").write_text(OWN_CODE)
    made.write_conversations(CONVERSATIONS)
    return made


Train = Callable[..., Trained]
