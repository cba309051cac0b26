"""Those who answer: candidate, champion, and the base model as it was. One at a time is in memory."""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.language.answer_prompts import GeneratedAnswer, answer_prompts, encode_prompt
from components.evaluate.language.likelihood import Likelihood, encode_reference, likelihoods
from components.evaluate.language.questions import Questions
from components.evaluate.shared.contender import Entrant
from delivery.documents.numbers import shortened
from training.errors import InputError, OstinatoError
from training.spec import Decoding, EngineSpec

if TYPE_CHECKING:
    from delivery.models.language.language_model import LanguageModel


@dataclass(frozen=True)
class ContenderAnswers:
    """What one contender answered to every question, and how likely it found the reference answers; (rows,) each."""

    called: str
    answers: tuple[GeneratedAnswer, ...]
    likelihoods: tuple[Likelihood, ...]
    tokenizer: Any
    alone: tuple[str, ...] = ()
    """Of the sampled questions, asked one at a time as a server is; rounding may make them other than in a batch."""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(answer.text for answer in self.answers)

    @property
    def cut(self) -> int:
        """Answers that did not come to their end."""
        return sum(not answer.whole for answer in self.answers)


def open_entrant(entrant: Entrant) -> Entrant:
    """The entrant with its digest. Raises OstinatoError if its folder is no language model."""
    from delivery.models.folder import model_digest
    from delivery.models.language.language_model import is_language_model

    if not is_language_model(entrant.folder):
        raise OstinatoError(f"{entrant.called} is no language model, but the task is generation. {entrant.fix}")
    return replace(entrant, digest=model_digest(entrant.folder))


def ask(
    entrant: Entrant, questions: Questions, decoding: Decoding, engine: EngineSpec, sampled: Sequence[int] = ()
) -> ContenderAnswers:
    """Load candidate or champion, let it answer, and free it. sampled: rows that are asked alone as well.

    Raises OstinatoError if it does not load or gives likelihoods that are no numbers, InputError for a question that
    does not fit its window.
    """
    from delivery.models.language.language_model import load_language_model

    try:
        model = load_language_model(entrant.folder, engine.dtype)
    except InputError:
        raise
    except OstinatoError as error:
        raise OstinatoError(f"{entrant.called} can't be loaded: {error}. {entrant.fix}") from error
    return _ask_and_free(model, entrant.called, questions, decoding, engine, sampled)


def ask_base(
    folder: Path, tokenizer: Any, questions: Questions, decoding: Decoding, engine: EngineSpec
) -> ContenderAnswers:
    """Load the base model, let it answer with the candidate's tokenizer and chat template, and free it. Raises what
    :func:`ask` raises."""
    from delivery.models.language.language_model import load_language_model

    model = replace(load_language_model(folder, engine.dtype), tokenizer=tokenizer)
    return _ask_and_free(model, "the baseline (the base model)", questions, decoding, engine)


def _ask_and_free(
    model: "LanguageModel",
    called: str,
    questions: Questions,
    decoding: Decoding,
    engine: EngineSpec,
    sampled: Sequence[int] = (),
) -> ContenderAnswers:
    import torch

    net: Any = model.model
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    prompts = [encode_prompt(model, prompt) for prompt in questions.prompts]
    references = [encode_reference(model, reference) for reference in questions.references]
    check_lengths(model, called, questions, prompts, references, decoding, engine)
    began = time.monotonic()
    likely = likelihoods(model, prompts, references)
    check_finite(called, questions, likely)
    answers = answer_prompts(model, prompts, decoding)
    seconds = time.monotonic() - began
    print(f"{called} answered {len(answers)} questions in {seconds:.1f} s ({len(answers) / seconds:.1f} a second)")
    alone = answer_prompts(model, [prompts[row] for row in sampled], decoding, batch_tokens=1)
    texts_alone = tuple(answer.text for answer in alone)
    own = ContenderAnswers(called, tuple(answers), tuple(likely), model.tokenizer, texts_alone)
    del model, net
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return own


def check_lengths(
    model: "LanguageModel",
    called: str,
    questions: Questions,
    prompts: Sequence[list[int]],
    references: Sequence[list[int]],
    decoding: Decoding,
    engine: EngineSpec,
) -> None:
    """Nothing is cut to fit. Raises InputError that names the first question which, with its answer, is longer than
    the window, and OstinatoError for a tokenizer that makes tokens which the model does not know."""
    net: Any = model.model
    known = net.get_input_embeddings().num_embeddings
    window = window_of(model, engine)
    for row, (prompt, reference) in enumerate(zip(prompts, references, strict=True)):
        named = f"test row {questions.ids[row]} ({shortened(questions.last_user(row), 60)!r})"
        if max(prompt + reference) >= known:
            raise OstinatoError(
                f"{named}: the tokenizer makes the token {max(prompt + reference)}, but {called} knows {known} tokens; "
                "tokenizer and weights belong to different models"
            )
        need = len(prompt) + max(decoding.max_new_tokens, len(reference))
        if window is not None and need > window:
            raise InputError(
                f"{named}: its prompt has {len(prompt)} tokens, its reference answer {len(reference)}, and an "
                f"answer may have {decoding.max_new_tokens} (quality.decoding.max_new_tokens): {need} together, but "
                f"the window of {called} is {window}; nothing is cut, so shorten the conversation, lower "
                "max_new_tokens, or take a model with a longer window"
            )


def window_of(model: "LanguageModel", engine: EngineSpec) -> int | None:
    """Tokens of the longest prompt with its answer: the model's, or the engine's; None for no limit."""
    own = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
    return min((limit for limit in (own, engine.max_model_len) if limit is not None), default=None)


def check_finite(called: str, questions: Questions, likely: Sequence[Likelihood]) -> None:
    """Raises OstinatoError that names the first row whose perplexity is no number."""
    rows = np.array([likelihood.nll / likelihood.tokens for likelihood in likely])
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~np.isfinite(np.exp(rows)))
    if len(bad):
        raise OstinatoError(
            f"the perplexity of {called} is NaN or infinite for {len(bad)} of {len(rows)} reference answers; the first "
            f"is that of test row {questions.ids[bad[0]]} ({shortened(questions.last_user(int(bad[0])), 60)!r}). Its "
            "weights hold numbers that are none, or grew past what they can hold: train it again with a lower "
            "learning_rate"
        )
