"""Conversations that repeat others: on one side, where the second teaches nothing, and over the sides, where the test
would ask what was trained."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from components.preprocess.language.messages import Written
from components.preprocess.language.near_duplicates import NearDuplicates, normal, words_of
from components.preprocess.language.turns import Fault, Messages


@dataclass(frozen=True)
class Conversation:
    """A row that is in order."""

    written: Written
    messages: Messages
    columns: dict[str, str]
    """Key and labels."""

    @cached_property
    def questions(self) -> str:
        """What the user says in all turns, in normal form."""
        return self._said_by("user")

    @cached_property
    def answers(self) -> str:
        return self._said_by("assistant")

    @cached_property
    def instructions(self) -> str:
        return self._said_by("system")

    def _said_by(self, role: str) -> str:
        return "\n".join(normal(message["content"]) for message in self.messages if message["role"] == role)


def repeats(side: Sequence[Conversation], threshold: float) -> dict[int, Fault]:
    """The conversations that say what an earlier one of the same side says, by their place in ``side``.

    The answers are equal, and the questions equal or at least ``threshold`` alike. Other answers to a question like it
    are no repetition: a long text that is asked about twice, say. Both in normal form.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, conversation in enumerate(side):
        groups[conversation.instructions, conversation.answers].append(number)
    faults: dict[int, Fault] = {}
    for group in groups.values():
        if len(group) > 1:
            faults |= _repeats_of(group, side, threshold)
    return faults


def _repeats_of(group: list[int], side: Sequence[Conversation], threshold: float) -> dict[int, Fault]:
    faults: dict[int, Fault] = {}
    first: dict[str, int] = {}
    for number in group:
        before = first.setdefault(side[number].questions, number)
        if before != number:
            faults[number] = Fault("repeats an earlier row", _place(side[before]))
    known = NearDuplicates(threshold)
    for number in first.values():
        words = words_of(side[number].questions)
        near = known.find(words)
        if near is None:
            known.add(number, words)
        else:
            faults[number] = Fault("nearly repeats an earlier row", _place(side[near]))
    return faults


def leaks(
    train: Sequence[Conversation], test: Sequence[Conversation], threshold: float, key: str | None
) -> dict[int, Fault]:
    """The training conversations whose questions, or whose key, a test row has, by their place in ``train``."""
    tested = {conversation.questions: conversation for conversation in reversed(test)}
    keys = {conversation.columns[key]: conversation for conversation in reversed(test)} if key else {}
    known = NearDuplicates(threshold)
    for number, conversation in enumerate(test):
        known.add(number, words_of(conversation.questions))
    faults: dict[int, Fault] = {}
    for number, conversation in enumerate(train):
        if other := tested.get(conversation.questions):
            faults[number] = Fault("a test row has its questions", _place(other))
        elif (near := known.find(words_of(conversation.questions))) is not None:
            faults[number] = Fault("a test row has nearly its questions", _place(test[near]))
        elif key and (other := keys.get(conversation.columns[key])):
            faults[number] = Fault(f"{key}: a test row has it", _place(other))
    return faults


def conflicts(train: Sequence[Conversation]) -> Iterator[tuple[Conversation, Conversation]]:
    """For each question that is answered in different words the first two that differ."""
    first: dict[tuple[str, str], Conversation] = {}
    reported: set[tuple[str, str]] = set()
    for conversation in train:
        asked = conversation.instructions, conversation.questions
        other = first.setdefault(asked, conversation)
        if other.answers != conversation.answers and asked not in reported:
            reported.add(asked)
            yield other, conversation


def _place(conversation: Conversation) -> str:
    return f"as {conversation.written.place}"
