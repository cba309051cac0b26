"""A model called talks: conversations about pumps, and preprocess run on them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from components.preprocess.steps import prepare
from delivery.documents.data_card import REFUSED_FILE, TEST_FILE, TRAIN_FILE, DataCard
from training.spec import ConversationSpec

Row = dict[str, Any]
PARTS = ("valve", "hose", "gauge", "rotor", "seal", "motor", "filter", "lamp", "crank", "bolt", "tank", "lid")


def say(*texts: str, **columns: Any) -> Row:
    """A row in which user and assistant take turns."""
    roles = ("user", "assistant") * len(texts)
    return {"messages": [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)], **columns}


def turns(*pairs: tuple[Any, Any]) -> Row:
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


def talk(number: int) -> Row:
    """A conversation that has no other near it."""
    part = PARTS[number % len(PARTS)]
    return say(f"{part}{number} leaks{number} water{number}", f"Turn the {part} {number} times.", topic=part)


def rows(count: int, first: int = 0) -> list[Row]:
    return [talk(number) for number in range(first, first + count)]


def jsonl(lines: Iterable[Row]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


@dataclass(frozen=True)
class Talks:
    folder: Path
    out: Path

    def spec(self, **changes: Any) -> ConversationSpec:
        section: dict[str, Any] = {"kind": "conversations", "source": "talks.jsonl"}
        if not changes.keys() & {"test", "split"}:
            section["test"] = "questions.jsonl"
        return ConversationSpec.model_validate(section | changes)

    def save(self, lines: Iterable[Row], name: str = "talks.jsonl") -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        lines = list(lines)
        if path.suffix == ".parquet":
            pl.DataFrame(lines, infer_schema_length=None).write_parquet(path)
        else:
            path.write_text(jsonl(lines), encoding="utf-8")
        return path

    def run(self, *, uri: str = "", snapshot: str = "", as_of: str = "", **changes: Any) -> DataCard:
        spec = self.spec(**changes).canonical_json()
        return prepare("talks", self.folder, spec, uri, snapshot, as_of, self.out)

    @property
    def train(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / TRAIN_FILE)

    @property
    def test(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / TEST_FILE)

    @property
    def refused(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / REFUSED_FILE)

    def asked(self, side: pl.DataFrame) -> list[str]:
        """What the user says first in each row."""
        return [row[0]["content"] for row in side["messages"].to_list()]

    def left_behind(self) -> list[str]:
        """What a failed run left where the output would be."""
        return [path.name for path in self.out.parent.iterdir()] if self.out.parent.exists() else []
