"""Pairs of answers that people have compared: whether the judge can be believed is measured on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from components.evaluate.language.judge.prompt import Pair
from components.evaluate.language.judge.reply import Better
from training.errors import InputError
from training.spec.section import Frozen

Text = Annotated[str, Field(min_length=1)]


class Label(Frozen):
    """One line of the file."""

    question: Text
    first: str
    second: str
    better: Better
    by: Text
    """Who compared them, and how: shown in the verdict."""
    reference: str = ""
    """What a good answer says, where the judge sees one with the fixed questions too."""

    @model_validator(mode="after")
    def _differ(self) -> "Label":
        if self.first == self.second:
            raise ValueError("first and second are the same text, so there is nothing to compare")
        return self

    @property
    def pair(self) -> Pair:
        return Pair(self.question, self.first, self.second, self.reference)


def read_labels(folder: Path, name: str) -> tuple[Label, ...]:
    """The labelled pairs of a JSONL file, UTF-8, in the model's folder; empty lines are passed over.

    Raises InputError that names file, line and field for a line that is wrong, and for a pair that is there twice;
    also for a file that is missing, empty, or not in the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"quality.judge.labels is {name!r}, which is not in {folder}; put the file there")
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"quality.judge.labels is {name!r}: {path} can't be read: {error.strerror}") from error
    labels = [_label(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not labels:
        raise InputError(f"{path} has no labelled pair; write one a line, or leave quality.judge.labels out")
    _check_once(labels, path)
    return tuple(labels)


def _label(line: bytes, where: str) -> Label:
    try:
        return Label.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        given = problem["input"]
        got = f" (got {given!r})" if field and isinstance(given, str | int | float | bool | None) else ""
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {field + ': ' if field else ''}{message}{got}") from error


def _check_once(labels: Sequence[Label], path: Path) -> None:
    seen: set[Pair] = set()
    for label in labels:
        if label.pair in seen:
            raise InputError(f"{path}: the pair with question {label.question!r} and the same answers is there twice")
        seen |= {label.pair, label.pair.turned}
