"""What OpenAI's protocol promises on the wire: the events of a stream, and the form of an error.

https://platform.openai.com/docs/api-reference/chat-streaming and /docs/guides/error-codes. A client library hides both.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from delivery.serving.clients.chat import TIMEOUT_S, ChatModel, Completion, Messages, SamplingParameters

if TYPE_CHECKING:
    import requests


class Broken(Exception):
    """A promise that was not kept; the text says what came."""


@dataclass(frozen=True)
class Known:
    """The question that the promises are tried with, and its answer from the same server, whole."""

    messages: Messages
    sampling: SamplingParameters
    answer: Completion


def check_end(reason: str, tokens: int, limit: int | None, faults: Collection[str]) -> None:
    if reason not in ("stop", "length"):
        raise Broken(f"finish_reason is {reason!r}, neither stop nor length")
    early = limit is not None and 0 < tokens < limit
    if reason == "length" and early and "length_at_the_end" not in faults:
        raise Broken(f"finish_reason is length after {tokens} tokens of {limit}")


def streams(model: ChatModel, known: Known, faults: Collection[str]) -> str:
    """The pieces are the whole answer, the last one says why it ended, and [DONE] is the end."""
    response = _post(model, {**body_of(model, known), "stream": True})
    if response.status_code != 200:
        raise Broken(f"a request to stream is answered {response.status_code}: {response.text[:200]}")
    events = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    if not events or events[-1] != "[DONE]":
        raise Broken(f"the stream does not end with [DONE] but with {events[-1:] or 'nothing'}")
    try:
        choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"an event of the stream is none of OpenAI's: {error!r}") from error
    if text != known.answer.text:
        raise Broken(f"streamed it says {excerpt(text)}, and whole {excerpt(known.answer.text)}")
    if not reasons:
        raise Broken("no event of the stream has a finish_reason")
    check_end(reasons[-1], known.answer.tokens, known.sampling.max_tokens, faults)
    return f"{len(choices)} events with the text of the whole answer, finish_reason {reasons[-1]}, [DONE]"


def refuses(model: ChatModel, body: dict[str, Any] | str, status: int | None, faults: Collection[str]) -> str:
    """Answered with the status, else with any that says that the caller is wrong, and with an error of OpenAI's form.

    https://platform.openai.com/docs/guides/error-codes: {"error": {"message": …}}"""
    response = _post(model, body)
    code = response.status_code
    if code != status if status else not 400 <= code < 500:
        raise Broken(f"it is answered {code}, not {status or '4xx'}: {response.text[:200]}")
    try:
        answer = response.json()
    except ValueError as error:
        raise Broken(f"it is answered {code} with no JSON: {response.text[:200]}") from error
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    if not isinstance(message, str):
        if "plain_errors" not in faults:
            raise Broken(f"the error is none of OpenAI's: {response.text[:200]}")
        message = response.text
    return f"answered {code}: {excerpt(message)}"


def body_of(model: ChatModel, known: Known) -> dict[str, Any]:
    return {"model": model.model, "messages": list(known.messages), **known.sampling.fields()}


def _post(model: ChatModel, body: dict[str, Any] | str) -> "requests.Response":
    import requests

    url, text = f"{model.base_url}/chat/completions", body if isinstance(body, str) else json.dumps(body)
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.post(url, text.encode(), headers={"content-type": "application/json"}, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise Broken(f"the request to {url} came to nothing: {error}") from error
    response.encoding = "utf-8"
    return response


def excerpt(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:117]}...")
