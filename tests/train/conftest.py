"""A workspace with a language model whose own code is a few lines, and a tiny base model."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from harness.tiny_models import OWN_CODE
from harness.verdicts import data_card

from components.train.steps import Trained, train
from delivery.documents.data_card import CardPart, ColumnCard

TEXTS = ["Which way is north?", "Follow the needle.", "How far is it?", "Two hours on foot.", "You are a guide."]
CONVERSATIONS = [
    [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": TEXTS[1]}],
    [{"role": "user", "content": TEXTS[2]}, {"role": "assistant", "content": TEXTS[3]}],
]


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
        columns = (ColumnCard(name="messages", dtype="List", role="target", nulls=0),)
        parts = {"train": CardPart(rows=len(conversations), sha256="3" * 64)}
        data_card(model="guide", fingerprint=fingerprint, columns=columns, **parts).write(self.data / "data.json")

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
