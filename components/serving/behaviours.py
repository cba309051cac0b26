"""What OpenAI's protocol promises, tried on a running server: one question or two for each promise.

https://platform.openai.com/docs/api-reference/chat and /completions. What came is in the reason, also where it held.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.evidence import Behaviour
from components.serving.chat import TIMEOUT_S, Answer, ChatModel, Messages, Wanted
from training.errors import OstinatoError

if TYPE_CHECKING:
    import requests

SHORT_SYSTEM = "Be brief."
LONG_SYSTEM = "Be brief. Answer in one sentence, say what you do not know, and never repeat the question."


class Broken(Exception):
    """A promise that was not kept; the text says what came."""


@dataclass(frozen=True)
class Known:
    """The question that the promises are tried with, and its answer from the same server, whole."""

    messages: Messages
    wanted: Wanted
    answer: Answer


def try_behaviours(
    model: ChatModel, questions: Sequence[Messages], wanted: Wanted, faults: Collection[str]
) -> tuple[Behaviour, ...]:
    """Try every promise. questions: those of the sample; the one with the longest answer is used, of the first four.
    faults: of the runtime's entry, which are let pass."""
    tried: list[tuple[str, Callable[[Known], str]]] = [
        ("models", lambda _: _lists(model)),
        ("chat", lambda known: _chats(known, faults)),
        ("completion", lambda known: _completes(model, known)),
        ("streaming", lambda known: _streams(model, known, faults)),
        ("stop", lambda known: _stops(model, known, faults)),
        ("token limit", lambda known: _limits(model, known)),
        ("system message", lambda known: _heeds_system(model, known)),
        (
            "unknown model",
            lambda known: _refuses(model, {**_body(model, known), "model": "no-such-model"}, 404, faults),
        ),
        ("malformed request", lambda _: _refuses(model, '{"model": ', None, faults)),
        ("negative limit", lambda known: _refuses(model, {**_body(model, known), "max_tokens": -3}, None, faults)),
    ]
    try:
        answers = [Known(one, wanted, model.answer(one, wanted)) for one in questions[:4]]
    except OstinatoError as error:
        return (Behaviour(name="chat", held=False, reason=str(error)),)
    known = max(answers, key=lambda one: len(one.answer.text))
    return tuple(_tried(name, promise, known) for name, promise in tried)


def _tried(name: str, promise: Callable[[Known], str], known: Known) -> Behaviour:
    try:
        return Behaviour(name=name, held=True, reason=promise(known))
    except (Broken, OstinatoError) as error:
        return Behaviour(name=name, held=False, reason=str(error))


def _lists(model: ChatModel) -> str:
    names = model.models()
    if model.model not in names:
        raise Broken(f"the list of models has {names}, and not {model.model}")
    return f"the list of models has {model.model}"


def _chats(known: Known, faults: Collection[str]) -> str:
    """A whole answer says why it ended, and how many tokens it has."""
    answer = known.answer
    if not answer.text:
        raise Broken("every answer is empty")
    _check_end(answer.finish_reason, answer.tokens, known.wanted.max_tokens, faults)
    if answer.tokens <= 0 or answer.prompt_tokens <= 0:
        raise Broken(f"usage says {answer.prompt_tokens} tokens of the prompt and {answer.tokens} of the answer")
    return f"{answer.tokens} tokens, finish_reason {answer.finish_reason}"


def _check_end(reason: str, tokens: int, limit: int | None, faults: Collection[str]) -> None:
    if reason not in ("stop", "length"):
        raise Broken(f"finish_reason is {reason!r}, neither stop nor length")
    early = limit is not None and 0 < tokens < limit
    if reason == "length" and early and "length_at_the_end" not in faults:
        raise Broken(f"finish_reason is length after {tokens} tokens of {limit}")


def _completes(model: ChatModel, known: Known) -> str:
    found = model.complete(known.messages[-1]["content"], replace(known.wanted, max_tokens=4))
    if found.finish_reason not in ("stop", "length") or found.tokens > 4:
        raise Broken(f"a completion of at most 4 tokens has {found.tokens}, finish_reason {found.finish_reason!r}")
    return f"{found.tokens} tokens, finish_reason {found.finish_reason}"


def _streams(model: ChatModel, known: Known, faults: Collection[str]) -> str:
    """The pieces are the whole answer, the last one says why it ended, and [DONE] is the end."""
    response = _post(model, {**_body(model, known), "stream": True})
    if response.status_code != 200:
        raise Broken(f"a request to stream is answered {response.status_code}: {response.text[:200]}")
    events = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    if not events or events[-1] != "[DONE]":
        raise Broken(f"the stream does not end with [DONE] but with {events[-1:] or 'nothing'}")
    try:
        choices = [one for event in events[:-1] for one in json.loads(event)["choices"]]
        text = "".join(one["delta"].get("content") or "" for one in choices)
        reasons = [one["finish_reason"] for one in choices if one.get("finish_reason")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"an event of the stream is none of OpenAI's: {error!r}") from error
    if text != known.answer.text:
        raise Broken(f"streamed it says {_short(text)}, and whole {_short(known.answer.text)}")
    if not reasons:
        raise Broken("no event of the stream has a finish_reason")
    _check_end(reasons[-1], known.answer.tokens, known.wanted.max_tokens, faults)
    return f"{len(choices)} events with the text of the whole answer, finish_reason {reasons[-1]}, [DONE]"


def _stops(model: ChatModel, known: Known, faults: Collection[str]) -> str:
    """An answer ends before a stop text: one is taken from the middle of the known answer."""
    whole = known.answer.text
    if not whole:
        raise Broken("every answer is empty, so there is no text to stop at")
    stop = _stop_text(whole)
    before = whole[: whole.index(stop)]
    found = model.answer(known.messages, replace(known.wanted, stop=(*known.wanted.stop[:3], stop)))
    if stop in found.text:
        raise Broken(f"with the stop text {stop!r} it says {_short(found.text)}")
    if found.text.strip() != before.strip():
        raise Broken(f"with the stop text {stop!r} it says {_short(found.text)}, and {_short(before)} comes before it")
    if found.finish_reason != "stop" and "length_at_the_end" not in faults:
        raise Broken(f"finish_reason is {found.finish_reason!r} at a stop text")
    return f"it ends before {stop!r}"


def _stop_text(whole: str) -> str:
    """A word of the answer with something before it, from the middle outward; else the end of its only word."""
    words = whole.split()
    ordered = sorted(range(len(words)), key=lambda at: abs(at - len(words) // 2))
    later = (words[at] for at in ordered if whole[: whole.index(words[at])].strip())
    return next(later, whole[len(whole) // 2 :])


def _limits(model: ChatModel, known: Known) -> str:
    limit = max(1, known.answer.tokens // 2)
    found = model.answer(known.messages, replace(known.wanted, max_tokens=limit))
    if found.tokens > limit:
        raise Broken(f"with max_tokens {limit} the answer has {found.tokens} tokens")
    if known.answer.tokens > limit and found.finish_reason != "length":
        raise Broken(f"cut off at max_tokens {limit}, finish_reason is {found.finish_reason!r} and not length")
    return f"with max_tokens {limit} the answer has {found.tokens} tokens, finish_reason {found.finish_reason}"


def _heeds_system(model: ChatModel, known: Known) -> str:
    """A longer system message makes a longer prompt, so it is in what the model reads."""
    rest = [one for one in known.messages if one["role"] != "system"]
    counts = [
        model.answer([{"role": "system", "content": text}, *rest], replace(known.wanted, max_tokens=1)).prompt_tokens
        for text in (SHORT_SYSTEM, LONG_SYSTEM)
    ]
    if counts[0] >= counts[1]:
        raise Broken(f"with a longer system message the prompt has {counts[1]} tokens, with a short one {counts[0]}")
    return f"a longer system message makes the prompt longer: {counts[0]} and {counts[1]} tokens"


def _refuses(model: ChatModel, body: dict[str, Any] | str, status: int | None, faults: Collection[str]) -> str:
    """Answered with the status, else with any that says that the caller is wrong, and with an error of OpenAI's form.

    https://platform.openai.com/docs/guides/error-codes: {"error": {"message": …}}"""
    response = _post(model, body)
    found = response.status_code
    if found != status if status else not 400 <= found < 500:
        raise Broken(f"it is answered {found}, not {status or '4xx'}: {response.text[:200]}")
    try:
        said = response.json()
    except ValueError as error:
        raise Broken(f"it is answered {found} with no JSON: {response.text[:200]}") from error
    error = said.get("error") if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    if not isinstance(message, str):
        if "plain_errors" not in faults:
            raise Broken(f"the error is none of OpenAI's: {response.text[:200]}")
        message = response.text
    return f"answered {found}: {_short(message)}"


def _body(model: ChatModel, known: Known) -> dict[str, Any]:
    return {"model": model.model, "messages": list(known.messages), **known.wanted.fields()}


def _post(model: ChatModel, body: dict[str, Any] | str) -> "requests.Response":
    import requests

    url, text = f"{model.base_url}/chat/completions", body if isinstance(body, str) else json.dumps(body)
    with requests.Session() as session:
        session.trust_env = False
        try:
            found = session.post(url, text.encode(), headers={"content-type": "application/json"}, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise Broken(f"the request to {url} came to nothing: {error}") from error
    found.encoding = "utf-8"
    return found


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:117]}...")
