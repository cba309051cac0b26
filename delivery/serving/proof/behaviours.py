"""What OpenAI's protocol promises, tried on a running server: one question or two for each promise.

https://platform.openai.com/docs/api-reference/chat and /completions. What came is in the reason, also where it held.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from delivery.documents.verdict import Behaviour
from delivery.serving.clients.chat import ChatModel, Messages, SamplingParameters
from delivery.serving.clients.openai_events import Broken, Known, body_of, check_end, excerpt, refuses, streams
from training.errors import OstinatoError

SHORT_SYSTEM = "Be brief."
LONG_SYSTEM = "Be brief. Answer in one sentence, say what you do not know, and never repeat the question."


def try_behaviours(
    model: ChatModel, questions: Sequence[Messages], sampling: SamplingParameters, faults: Collection[str]
) -> tuple[Behaviour, ...]:
    """Try every promise. questions: those of the sample; the one with the longest answer is used, of the first four.
    faults: of the runtime's entry, which are let pass."""
    tried: list[tuple[str, Callable[[Known], str]]] = [
        ("models", lambda _: _lists(model)),
        ("chat", lambda known: _chats(known, faults)),
        ("completion", lambda known: _completes(model, known)),
        ("streaming", lambda known: streams(model, known, faults)),
        ("stop", lambda known: _stops(model, known, faults)),
        ("token limit", lambda known: _limits(model, known)),
        ("system message", lambda known: _heeds_system(model, known)),
        (
            "unknown model",
            lambda known: refuses(model, {**body_of(model, known), "model": "no-such-model"}, 404, faults),
        ),
        ("malformed request", lambda _: refuses(model, '{"model": ', None, faults)),
        ("negative limit", lambda known: refuses(model, {**body_of(model, known), "max_tokens": -3}, None, faults)),
    ]
    try:
        answers = [Known(question, sampling, model.answer(question, sampling)) for question in questions[:4]]
    except OstinatoError as error:
        return (Behaviour(name="chat", held=False, reason=str(error)),)
    known = max(answers, key=lambda candidate: len(candidate.answer.text))
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
    check_end(answer.finish_reason, answer.tokens, known.sampling.max_tokens, faults)
    if answer.tokens <= 0 or answer.prompt_tokens <= 0:
        raise Broken(f"usage says {answer.prompt_tokens} tokens of the prompt and {answer.tokens} of the answer")
    return f"{answer.tokens} tokens, finish_reason {answer.finish_reason}"


def _completes(model: ChatModel, known: Known) -> str:
    answer = model.complete(known.messages[-1]["content"], replace(known.sampling, max_tokens=4))
    if answer.finish_reason not in ("stop", "length") or answer.tokens > 4:
        raise Broken(f"a completion of at most 4 tokens has {answer.tokens}, finish_reason {answer.finish_reason!r}")
    return f"{answer.tokens} tokens, finish_reason {answer.finish_reason}"


def _stops(model: ChatModel, known: Known, faults: Collection[str]) -> str:
    """An answer ends before a stop text: one is taken from the middle of the known answer."""
    whole = known.answer.text
    if not whole:
        raise Broken("every answer is empty, so there is no text to stop at")
    stop = _stop_text(whole)
    before = whole[: whole.index(stop)]
    answer = model.answer(known.messages, replace(known.sampling, stop=(*known.sampling.stop[:3], stop)))
    if stop in answer.text:
        raise Broken(f"with the stop text {stop!r} it says {excerpt(answer.text)}")
    if answer.text.strip() != before.strip():
        raise Broken(
            f"with the stop text {stop!r} it says {excerpt(answer.text)}, and {excerpt(before)} comes before it"
        )
    if answer.finish_reason != "stop" and "length_at_the_end" not in faults:
        raise Broken(f"finish_reason is {answer.finish_reason!r} at a stop text")
    return f"it ends before {stop!r}"


def _stop_text(whole: str) -> str:
    """A word of the answer with something before it, from the middle outward; else the end of its only word."""
    words = whole.split()
    ordered = sorted(range(len(words)), key=lambda at: abs(at - len(words) // 2))
    later = (words[at] for at in ordered if whole[: whole.index(words[at])].strip())
    return next(later, whole[len(whole) // 2 :])


def _limits(model: ChatModel, known: Known) -> str:
    limit = max(1, known.answer.tokens // 2)
    answer = model.answer(known.messages, replace(known.sampling, max_tokens=limit))
    if answer.tokens > limit:
        raise Broken(f"with max_tokens {limit} the answer has {answer.tokens} tokens")
    if known.answer.tokens > limit and answer.finish_reason != "length":
        raise Broken(f"cut off at max_tokens {limit}, finish_reason is {answer.finish_reason!r} and not length")
    return f"with max_tokens {limit} the answer has {answer.tokens} tokens, finish_reason {answer.finish_reason}"


def _heeds_system(model: ChatModel, known: Known) -> str:
    """A longer system message makes a longer prompt, so it is in what the model reads."""
    rest = [message for message in known.messages if message["role"] != "system"]
    counts = [
        model.answer([{"role": "system", "content": text}, *rest], replace(known.sampling, max_tokens=1)).prompt_tokens
        for text in (SHORT_SYSTEM, LONG_SYSTEM)
    ]
    if counts[0] >= counts[1]:
        raise Broken(f"with a longer system message the prompt has {counts[1]} tokens, with a short one {counts[0]}")
    return f"a longer system message makes the prompt longer: {counts[0]} and {counts[1]} tokens"
