"""What a conversation must be: roles in turn, text in every message, an end and an answer at it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from training.spec import ConversationSpec

Messages = list[dict[str, str]]
"""Of `role` and `content`."""

_ROLES = ("system", "user", "assistant")
_OF_TOOLS = ("tool", "function", "ipython")
_CALLS = ("tool_calls", "function_call", "tool_call_id")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is refused."""

    reason: str
    """The same for all rows with the fault, so that they can be counted."""
    value: str = ""
    """What was there, for the example."""

    def __str__(self) -> str:
        return f"{self.reason} ({self.value})" if self.value else self.reason


def messages_of(value: Any, spec: ConversationSpec) -> Messages | Fault:
    """The messages, with `role` and `content` alone, or the first fault of them.

    ``value`` is a list of mappings, or the text of such a list as JSON, as some Parquet files have it. A system message
    comes first or not at all; user and assistant take turns, user first, and the assistant has the last word.
    """
    if value is None:
        return Fault("messages: missing")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return Fault("messages: text that is no JSON list", _shown(value))
    if not isinstance(value, list):
        return Fault("messages: not a list", type(value).__name__)
    if not value:
        return Fault("messages: empty")
    if len(value) > spec.max_turns:
        return Fault(f"messages: more than data.max_turns {spec.max_turns}", f"{len(value)}")
    for number, message in enumerate(value, 1):
        if fault := _fault_of(message, number):
            return fault
    if fault := _out_of_turn([message["role"] for message in value]):
        return fault
    if (chars := sum(len(message["content"]) for message in value)) > spec.max_chars:
        return Fault(f"messages: more characters than data.max_chars {spec.max_chars}", f"{chars}")
    return [{"role": message["role"], "content": message["content"]} for message in value]


def text_of(value: Any, column: str) -> str | Fault:
    """The value of a key or label as text; whole numbers are written in decimal."""
    if value is None or value == "":
        return Fault(f"{column}: missing")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return Fault(f"{column}: no text", f"{type(value).__name__}")
    return Fault(f"{column}: {_BROKEN}") if _is_broken(value) else value


def ignored_keys(value: Any) -> Iterable[str]:
    """Keys of the messages that say something and are not read, such as `weight`."""
    if isinstance(value, str):
        value = json.loads(value)
    return {key for message in value for key, field in message.items() if key not in ("role", "content") and field}


_BROKEN = "text with half a character (a lone surrogate)"


def _fault_of(message: Any, number: int) -> Fault | None:
    where = f"message {number}"
    if not isinstance(message, dict):
        return Fault("messages: one is no {role, content}", f"{where} is {_shown(message)}")
    role, content = message.get("role"), message.get("content")
    if role in _OF_TOOLS or any(message.get(key) for key in _CALLS):
        return Fault("role: calls of tools are not supported", f"{where}; leave such conversations out")
    if role not in _ROLES:
        return Fault("role: unknown", f"{where} has {_shown(role)}; known are {', '.join(_ROLES)}")
    if not isinstance(content, str):
        return Fault("content: no text", f"{where} has {_shown(content)}")
    if not content.strip():
        return Fault("content: empty", where)
    return Fault(f"content: {_BROKEN}", where) if _is_broken(content) else None


def _out_of_turn(roles: list[str]) -> Fault | None:
    spoken = roles[1:] if roles[0] == "system" else roles
    if "system" in spoken:
        return Fault("role: system is not first", f"message {len(roles) - len(spoken) + spoken.index('system') + 1}")
    for number, role in enumerate(spoken):
        if role != ("user", "assistant")[number % 2]:
            return Fault("role: user and assistant do not take turns, user first", " ".join(roles[:6]))
    return None if spoken and spoken[-1] == "assistant" else Fault("role: the last message is not the assistant's")


def _is_broken(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
