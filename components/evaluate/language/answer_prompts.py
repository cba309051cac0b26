"""Answers to many questions at once: greedy, in batches of similar length, in the order of the questions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.evaluate.language.questions import Messages
from delivery.documents.numbers import shortened
from training.errors import InputError, OstinatoError
from training.spec import Decoding

if TYPE_CHECKING:
    import torch

    from delivery.models.language.language_model import LanguageModel

BATCH_TOKENS = 16_384
"""Of a batch, prompts and answers with their padding: what the keys and values in memory are for."""


@dataclass(frozen=True)
class GeneratedAnswer:
    text: str
    whole: bool
    """Whether it came to its end, by an end token or a stop text, before ``max_new_tokens``."""


def answer_all(
    model: "LanguageModel", prompts: Sequence[Messages], decoding: Decoding, batch_tokens: int = BATCH_TOKENS
) -> list[str]:
    """What the model says to each conversation (n,), see :func:`answer_prompts`."""
    encoded = [encode_prompt(model, prompt) for prompt in prompts]
    return [answer.text for answer in answer_prompts(model, encoded, decoding, batch_tokens)]


def encode_prompt(model: "LanguageModel", prompt: Messages) -> list[int]:
    """The tokens that the chat template makes of a conversation, up to where the answer begins.

    Raises InputError for a conversation that the template does not take.
    """
    from jinja2 import TemplateError

    tokenizer: Any = model.tokenizer
    if not tokenizer.chat_template:
        raise InputError("the tokenizer has no chat template, so nobody knows how to ask it; use an instruction model")
    try:
        return tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    except TemplateError as error:
        asked = shortened(prompt[-1]["content"], 60)
        raise InputError(f"the chat template does not take the question {asked!r}: {error}") from error


def answer_prompts(
    model: "LanguageModel", encoded: Sequence[list[int]], decoding: Decoding, batch_tokens: int = BATCH_TOKENS
) -> list[GeneratedAnswer]:
    """Greedy answers to encoded prompts (n,), in their order, on the GPU where the model is there.

    Sampling is off whatever the model's generation config says; the rest of it, such as a repetition penalty, holds as
    it does where the model is served. Prompts are padded on the left. Answers do not depend on the batches but for
    rounding, which may flip a token where two are nearly as likely. Raises OstinatoError if one question alone does
    not fit the memory.
    """
    answers: list[GeneratedAnswer | None] = [None] * len(encoded)
    for rows in batches([len(prompt) + decoding.max_new_tokens for prompt in encoded], batch_tokens):
        part_answers = halving(rows, lambda part: _generate(model, [encoded[row] for row in part], decoding))
        for row, answer in zip(rows, part_answers, strict=True):
            answers[row] = answer
    return [answer for answer in answers if answer is not None]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows of similar length together, the longest first; rows times the longest of a batch keep the budget, or it is
    one row."""
    rows = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    while rows:
        many = max(1, budget // lengths[rows[0]])
        yield rows[:many]
        rows = rows[many:]


def halving(rows: list[int], work: Callable[[list[int]], list[Any]]) -> list[Any]:
    """The work on a batch, or on its halves where the GPU's memory does not hold it. Raises OstinatoError where it does
    not even hold one row."""
    import torch

    try:
        return work(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise OstinatoError(
                "the GPU's memory does not hold the model with one question; use a smaller base model, a GPU with more "
                "memory, or lower quality.decoding.max_new_tokens"
            ) from error
    middle = len(rows) // 2
    return halving(rows[:middle], work) + halving(rows[middle:], work)


def end_tokens(model: "LanguageModel") -> list[int]:
    """Tokens that end an answer: of the generation config and of the tokenizer, as the serving runtimes take them."""
    net: Any = model.model
    tokenizer: Any = model.tokenizer
    named = net.generation_config.eos_token_id
    several = named if isinstance(named, list) else [named]
    return sorted({token for token in (*several, tokenizer.eos_token_id) if token is not None})


def left_padded(rows: Sequence[list[int]], fill: int, device: Any) -> "tuple[torch.Tensor, torch.Tensor]":
    """Token ids and attention mask, (rows, longest) each."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[fill] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def padding(model: "LanguageModel") -> int:
    """The token that fills up a batch; which one it is changes nothing, since it is masked."""
    tokenizer: Any = model.tokenizer
    return next((token for token in (tokenizer.pad_token_id, *end_tokens(model)) if token is not None), 0)


def _generate(model: "LanguageModel", prompts: Sequence[list[int]], decoding: Decoding) -> list[GeneratedAnswer]:
    import torch
    from transformers import GenerationConfig

    net: Any = model.model
    ends, fill = end_tokens(model), padding(model)
    ids, mask = left_padded(prompts, fill, net.device)
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=ends or None,
        pad_token_id=fill,
    )
    stopping = [_stop_texts(model.tokenizer, decoding.stop, ids.shape[1])] if decoding.stop else None
    with torch.inference_mode():
        out = net.generate(input_ids=ids, attention_mask=mask, generation_config=config, stopping_criteria=stopping)
    return [_read(model.tokenizer, row, ends, decoding) for row in out[:, ids.shape[1] :].tolist()]


def _read(tokenizer: Any, tokens: list[int], ends: list[int], decoding: Decoding) -> GeneratedAnswer:
    """The text before the first end token and the first stop text."""
    end = next((i for i, token in enumerate(tokens) if token in ends), None)
    text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
    cuts = [at for stop in decoding.stop if (at := text.find(stop)) >= 0]
    ended = end is not None or bool(cuts) or len(tokens) < decoding.max_new_tokens
    return GeneratedAnswer(text[: min(cuts)] if cuts else text, ended)


def _stop_texts(tokenizer: Any, stops: Sequence[str], start: int) -> Any:
    """Ends a row when its answer holds a stop text. transformers' own ``stop_strings`` also matches one that begins in
    the prompt, which no server does: a template that ends with a line break would end the answer at its first one."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class StopTexts(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            texts = tokenizer.batch_decode(input_ids[:, start:], skip_special_tokens=True)
            ended = [any(stop in text for stop in stops) for text in texts]
            return torch.tensor(ended, device=input_ids.device)

    return StoppingCriteriaList([StopTexts()])
