"""Judges on real sockets: an OpenAI-compatible chat endpoint whose opinion is a function of what it is asked.

Requests are checked, and replies made, with the types of the `openai` package, which are generated from the published
OpenAPI description of the protocol.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness import loopback
from harness.loopback import LoopbackServer, Reply
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import ConfigDict, TypeAdapter, with_config

MODEL = "a-judge"
TEXT = re.compile(r"^BEGIN (\w+) ([0-9a-f]{16})\n(.*?)\nEND \1 \2$", re.DOTALL | re.MULTILINE)


@with_config(ConfigDict(extra="forbid"))
class Request(CompletionCreateParamsNonStreaming):
    """What a client may send, and nothing else."""


REQUEST = TypeAdapter(Request)


@dataclass(frozen=True)
class Asked:
    """One request."""

    number: int
    """Counted from 1, over the life of the server."""
    body: dict[str, Any]
    path: str
    authorization: str

    @property
    def texts(self) -> dict[str, str]:
        """The judged texts by name, as a judge that keeps to the marks reads them."""
        return {name: text for name, _, text in TEXT.findall(self.body["messages"][-1]["content"])}


@dataclass(frozen=True)
class Status:
    """An answer that is no completion: any status with any body, text as it is, else as JSON."""

    code: int
    body: Any = ""
    kind: str = ""


class Hangs:
    """No answer while the server is up."""


class HangsUp:
    """The connection ends without an answer."""


Answer = str | ChatCompletionMessage | Status | Hangs | HangsUp
Judge = Callable[[Asked], Answer]


def says(better: str, reason: str = "It is.") -> str:
    return json.dumps({"reason": reason, "better": better})


def sensible(asked: Asked) -> str:
    """Better is the answer that has more words of the reference, whatever else it says."""

    def overlap(name: str) -> int:
        return len(set(asked.texts[name].split()) & set(asked.texts["reference"].split()))

    first, second = overlap("first"), overlap("second")
    return says("tie" if first == second else "first" if first > second else "second")


def always(answer: Answer) -> Judge:
    return lambda asked: answer


def refused(code: int, message: str) -> Status:
    """An error as OpenAI shapes it."""
    return Status(code, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})


class JudgeServer(LoopbackServer):
    prefix = "/v1"

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge
        self.asked: list[Asked] = []

    def answer(self, request: loopback.Request) -> Reply | None:
        body = json.loads(request.body)
        with self.lock:
            asked = Asked(len(self.asked) + 1, body, request.target, request.headers.get("authorization", ""))
            self.asked.append(asked)
        REQUEST.validate_python(body)
        answer = self.judge(asked)
        if isinstance(answer, HangsUp | Hangs):
            if isinstance(answer, Hangs):
                self.let_go.wait()
            return request.cut()
        if not isinstance(answer, Status):
            return Reply(200, _completion(answer, body["model"]))
        kind = answer.kind or ("text/html" if isinstance(answer.body, str) else "application/json")
        return Reply(answer.code, answer.body, {"Content-Type": kind})


def _completion(answer: str | ChatCompletionMessage, model: str) -> dict[str, Any]:
    message = ChatCompletionMessage(role="assistant", content=answer) if isinstance(answer, str) else answer
    choice = Choice(finish_reason="stop", index=0, message=message)
    return ChatCompletion(
        id="chatcmpl-1", choices=[choice], created=0, model=model, object="chat.completion"
    ).model_dump(mode="json", exclude_unset=True)
