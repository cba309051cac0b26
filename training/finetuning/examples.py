"""Conversations as tokens, with a label for every token of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Conversation = Sequence[dict[str, str]]
IGNORED = -100
"""The label of a token without loss; PyTorch's cross entropy and every trainer skip it."""


@dataclass(frozen=True)
class Example:
    """One conversation of n tokens."""

    number: int
    """Its place in the conversations that were given, from 0."""
    input_ids: list[int]
    """(n,)"""
    labels: list[int]
    """(n,) the token itself where it is of an answer or ends one, else -100."""


@dataclass(frozen=True)
class Window:
    """How long a conversation may be, in tokens, what says so, and what to do about a longer one."""

    tokens: int
    reason: str
    fix: str


def tokenise(
    conversations: Sequence[Conversation], tokenizer: "PreTrainedTokenizerBase", window: Window
) -> list[Example]:
    """All conversations, each as its chat template renders it.

    The model learns what it will be asked for: the tokens of each assistant's turn from the end of the generation
    prompt to the special token that ends the turn, this one included. The template is rendered up to each answer, with
    and without it, and each text must begin the next, so this works for any template that renders a turn the same
    whatever follows. Raises InputError, which names the conversation, for an empty answer, for one that is too long,
    and for a template that doesn't do so.
    """
    if not conversations:
        raise InputError("there is no conversation to train on")
    return [_example(number, conversation, tokenizer, window) for number, conversation in enumerate(conversations)]


def _example(number: int, messages: Conversation, tokenizer: Any, window: Window) -> Example:
    where = f"conversation {number} ({describe(messages)})"
    text, spans = _answer_spans(where, messages, tokenizer)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    if len(ids) > window.tokens:
        raise InputError(
            f"{where} has {len(ids)} tokens, and {window.reason} allows {window.tokens}: "
            f"shorten the conversation or leave it out, or {window.fix}"
        )
    labels = [IGNORED] * len(ids)
    for start, end in spans:
        inside = [index for index, (first, last) in enumerate(offsets) if first < end and last > start]
        if not inside or offsets[inside[0]][0] < start:
            raise InputError(
                f"{where}: the tokenizer joins the beginning of an answer with the end of its prompt, so the model "
                "would learn tokens that it never has to say; take off white space before the answer"
            )
        special = [index for index in inside if ids[index] in tokenizer.all_special_ids]
        if special != inside[-1:]:
            raise InputError(_ending(where, tokenizer, [ids[index] for index in special], text[start:end]))
        for index in inside:
            labels[index] = ids[index]
    return Example(number, list(ids), labels)


def _answer_spans(where: str, messages: Conversation, tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """The whole text, and where in it each answer begins and ends (after its end-of-turn token)."""
    whole = _render(where, messages, tokenizer)
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if not message["content"].strip():
            raise InputError(f"{where}: message {index} is an empty answer; leave the conversation out")
        prompt = _render(where, messages[:index], tokenizer, add_generation_prompt=True)
        upto = _render(where, messages[: index + 1], tokenizer)
        if not (upto.startswith(prompt) and whole.startswith(upto)):
            raise InputError(
                f"{where}: the chat template renders the text before the answer in message {index} differently when "
                "the answer follows, so what the model learns would not be what it is asked; take a template that "
                "renders each turn alike wherever it stands, or conversations with a single answer"
            )
        spans.append((len(prompt), len(upto.rstrip())))
    if not spans:
        raise InputError(f"{where} has no answer: no message has the role assistant")
    return whole, spans


def _render(where: str, messages: Conversation, tokenizer: Any, add_generation_prompt: bool = False) -> str:
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except TemplateError as error:
        raise InputError(f"{where}: the chat template refuses it: {error}") from error


def _ending(where: str, tokenizer: Any, special: list[int], answer: str) -> str:
    if special:
        names = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(special)))
        return f"{where}: an answer contains special tokens ({names}) before its end; leave the conversation out"
    return (
        f"{where}: the chat template ends the answer with {answer[-20:]!r}, which is no special token, so the model "
        "would not learn to stop; end each assistant turn with an end-of-turn token in the template"
    )


def describe(messages: Conversation) -> str:
    """The beginning of its first question, to find it by."""
    asked = next((message["content"] for message in messages if message["role"] == "user"), "")
    return repr(asked[:40] + ("…" if len(asked) > 40 else ""))
