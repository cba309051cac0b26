"""A language model that answers one request after another, token by token, and stops when nobody listens any more."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.models.language.language_model import load_language_model
from delivery.serving.process.language_arguments import check_window
from delivery.serving.stand_ins.openai_requests import Asked
from training.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What the first bytes of a character are decoded to before the rest is there."""


@dataclass
class Answering:
    """An answer that is being made."""

    on_text: Callable[[str], object]
    """Called with each further piece of the text, from the thread that makes it."""
    asked: Asked
    max_new_tokens: int
    with_adapter: bool
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set it when nobody listens any more."""
    tokens: int = 0
    finish_reason: str = "length"


class Generator:
    """One model; it answers in a thread of its own, so that a caller who waits is served in turn.

    max_model_len: longest prompt with its answer, in tokens; the model's window unless given. Raises InputError if that
    is more than the window, and what :func:`load_language_model` raises.
    """

    def __init__(self, folder: Path, dtype: str = "auto", max_model_len: int | None = None) -> None:
        loaded = load_language_model(folder, dtype)
        self._model: Any = loaded.model
        self._tokenizer: Any = loaded.tokenizer
        config: Any = loaded.model.generation_config
        named = config.eos_token_id
        several = named if isinstance(named, list) else [named]
        ends = {*several, self._tokenizer.eos_token_id} - {None}
        self._ends: list[int] = sorted(ends)
        self._defaults = config
        window = check_window(getattr(loaded.model.config, "max_position_embeddings", None), max_model_len)
        self.window = window or loaded.tokenizer.model_max_length
        self._thread = ThreadPoolExecutor(1)

    @property
    def has_adapter(self) -> bool:
        return hasattr(self._model, "disable_adapter")

    def encode_chat(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """The tokens of a conversation, up to where the answer begins. Raises InputError if the template refuses."""
        from jinja2 import TemplateError

        try:
            return self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        except TemplateError as error:
            raise InputError(f"the chat template does not take these messages: {error}") from error

    def encode_text(self, text: str) -> list[int]:
        return self._tokenizer(text)["input_ids"]

    def start(self, prompt: list[int], answering: Answering) -> "Future[None]":
        """Answer when those before are answered; the future is done when the answer is."""
        return self._thread.submit(self._answer, prompt, answering)

    def _answer(self, prompt: list[int], answering: Answering) -> None:
        import torch
        from transformers import StoppingCriteriaList

        if answering.cancelled.is_set():
            return
        if answering.asked.seed is not None:
            torch.manual_seed(answering.asked.seed)
        text = _Text(self._tokenizer, answering, self._ends)
        ids = torch.tensor([prompt], device=self._model.device)
        off = self.has_adapter and not answering.with_adapter
        with torch.inference_mode(), self._model.disable_adapter() if off else nullcontext():
            self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._config(answering),
                streamer=text,
                stopping_criteria=StoppingCriteriaList([text.is_over]),
            )

    def _config(self, answering: Answering) -> "GenerationConfig":
        """Greedy, or sampled; where the model's own generation config has more, such as a repetition penalty, it holds
        as it does offline."""
        from transformers import GenerationConfig

        default, asked = self._defaults, answering.asked
        temperature = next(value for value in (asked.temperature, default.temperature, 1.0) if value is not None)
        sampled = temperature > 0
        top_p = next(value for value in (asked.top_p, default.top_p, 1.0) if value is not None)
        return GenerationConfig(
            do_sample=sampled,
            num_beams=1,
            temperature=temperature if sampled else 1.0,
            top_p=top_p if sampled else 1.0,
            top_k=(default.top_k or 0) if sampled else 50,
            max_new_tokens=answering.max_new_tokens,
            eos_token_id=self._ends or None,
            pad_token_id=next((token for token in (self._tokenizer.pad_token_id, *self._ends) if token is not None), 0),
        )


class _Text:
    """transformers' streamer: the text so far, given on as soon as it can't become part of a stop text any more."""

    def __init__(self, tokenizer: Any, answering: Answering, ends: Sequence[int]) -> None:
        self._tokenizer, self._answering, self._ends = tokenizer, answering, ends
        self._tokens: list[int] | None = None
        self._given = 0
        self._over = False

    def put(self, value: "torch.Tensor") -> None:
        if self._tokens is None:  # the first are the prompt's
            self._tokens = []
            return
        if self._over:  # generate() may make one more
            return
        (token,) = value.tolist()
        self._answering.tokens += 1
        if token in self._ends:
            self._over = True
            self._answering.finish_reason = "stop"
            return
        self._tokens.append(token)
        text = self._decoded()
        cuts = [at for stop in self._answering.asked.stop if (at := text.find(stop)) >= 0]
        if cuts:
            self._give(text[: min(cuts)])
            self._over = True
            self._answering.finish_reason = "stop"
            self._tokens.clear()
        elif not text.endswith(UNFINISHED):
            self._give(text[: len(text) - held_back(text, self._answering.asked.stop)])

    def end(self) -> None:
        self._give(self._decoded())

    def is_over(self, input_ids: "torch.Tensor", scores: object, **_: object) -> "torch.Tensor":
        """transformers' stopping criterion, asked after each token."""
        import torch

        return torch.tensor([self._over or self._answering.cancelled.is_set()], device=input_ids.device)

    def _decoded(self) -> str:
        return self._tokenizer.decode(self._tokens or [], skip_special_tokens=True)

    def _give(self, text: str) -> None:
        if len(text) > self._given:
            self._answering.on_text(text[self._given :])
            self._given = len(text)


def held_back(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of a text may be the beginning of a stop text."""
    return max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)
