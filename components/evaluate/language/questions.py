"""The fixed questions: what was asked, what should be said, and the columns that slices go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import InputError, did_you_mean
from training.spec import ConversationSpec, QualitySpec, SliceCheck

if TYPE_CHECKING:
    import polars as pl

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Questions:
    """The test rows, (rows,) each."""

    ids: tuple[str, ...]
    prompts: tuple[Messages, ...]
    """All messages before the assistant's last one."""
    references: tuple[str, ...]
    """The assistant's last message."""
    labels: "pl.DataFrame"
    """Key and label columns of the data spec, (rows, columns)."""

    @property
    def count(self) -> int:
        return len(self.ids)

    def last_user(self, row: int) -> str:
        """What is asked at last."""
        return next((turn["content"] for turn in reversed(self.prompts[row]) if turn["role"] == "user"), "")

    def conversation(self, row: int) -> str:
        """The whole prompt as text: the question alone, or every message after its role."""
        prompt = self.prompts[row]
        if [turn["role"] for turn in prompt] == ["user"]:
            return prompt[0]["content"]
        return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)


def read_questions(path: Path, data: ConversationSpec, quality: QualitySpec) -> Questions:
    """Raises InputError for a row that does not end with an answer to something, and for a slice column that is not
    there."""
    import polars as pl

    rows = pl.read_parquet(path)
    columns = [name for name in dict.fromkeys((data.key, *data.labels)) if name in rows.columns]
    for i, check in enumerate(quality.checks):
        if isinstance(check, SliceCheck) and check.column not in columns:
            raise InputError(
                f"quality.checks.{i}.column is {check.column!r}, which data.labels does not keep for the test rows. "
                f"{did_you_mean(check.column, columns)}"
            )
    ids, conversations = rows["id"].to_list(), rows["messages"].to_list()
    for name, messages in zip(ids, conversations, strict=True):
        _check_conversation(name, messages)
    return Questions(
        ids=tuple(ids),
        prompts=tuple(messages[:-1] for messages in conversations),
        references=tuple(messages[-1]["content"] for messages in conversations),
        labels=rows.select(columns),
    )


def _check_conversation(name: str, messages: Messages) -> None:
    roles: Sequence[str] = [turn["role"] for turn in messages or ()]
    if roles[-1:] != ["assistant"] or "user" not in roles:
        raise InputError(
            f"test row {name} has the roles {', '.join(roles) or 'of no message'}; a question that is judged has a "
            "user's message and ends with the assistant's answer: run preprocess again"
        )
