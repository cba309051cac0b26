"""One question to a language model behind an OpenAI-compatible URL, and the ways in which it can fail."""

import asyncio
import os
from typing import TYPE_CHECKING, Any, Self

from components.evaluate.language.judge.prompt import Messages
from components.evaluate.language.judge.reply import Unusable, shown
from training.errors import InputError
from training.llm_extra import need_llm_extra
from training.spec import JudgeSpec

if TYPE_CHECKING:
    from openai import APIStatusError

RETRIES = 2
"""Of the client, within the time of one call, after 408, 409, 429, 5xx and a lost connection; it waits longer each
time, and as long as the server says."""
MAX_TOKENS = 512
"""Of a reply: some thirty are needed, and a judge that rambles is stopped."""


class Unanswered(Exception):
    """There was no reply; the text says why, and never shows the key."""


class Hopeless(Unanswered):
    """There will be none either: the endpoint knows neither us nor the model."""


class Endpoint:
    """Asks the judge of a spec. Use it as an async context manager, anew for each event loop.

    Raises InputError where the package `openai` is missing, the key can't be sent, or the URL is none.
    """

    def __init__(self, spec: JudgeSpec) -> None:
        self._spec = spec
        self._key = os.environ.get(spec.api_key_env, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise InputError(f"{spec.api_key_env} holds characters that no key has; set it to the key alone")
        self._json_mode: bool | None = None
        """Whether the server takes `response_format`; None until it has replied once."""
        self._tries_plain = False
        need_llm_extra("a judge", ["openai"])

    async def __aenter__(self) -> Self:
        import httpx2
        from openai import AsyncOpenAI

        try:
            self._client = AsyncOpenAI(
                base_url=self._spec.url, api_key=self._key or "none", timeout=self._spec.timeout_s, max_retries=RETRIES
            )
        except httpx2.InvalidURL as error:
            raise InputError(f"quality.judge.url is {self._spec.url!r}, which is no URL: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, messages: Messages) -> str:
        """The text of the reply, made greedily. Takes at most ``timeout_s`` with all its repetitions.

        Raises Unusable for a reply without text, and where the server refuses the request in this form, so that another
        try is worth it; Unanswered, or Hopeless, where there is no reply.
        """
        import openai

        asked: Any = messages
        as_json = not self._tries_plain if self._json_mode is None else self._json_mode
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                completion = await self._client.chat.completions.create(
                    model=self._spec.model,
                    messages=asked,
                    temperature=0,
                    max_tokens=MAX_TOKENS,
                    extra_body={"response_format": {"type": "json_object"}} if as_json else None,
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            raise Unanswered(f"no reply within {self._spec.timeout_s:g} s") from error
        except openai.APIStatusError as error:
            raise self._refused(error) from error
        except openai.OpenAIError as error:
            cause = error.__cause__ or error
            raise Unanswered(self._without_key(f"{error} {type(cause).__name__}: {cause}")) from error
        except ValueError as error:
            raise Unusable("it replied with a body that is not JSON") from error
        if self._json_mode is None:
            self._json_mode = as_json
        return self._without_key(_text_of(completion))

    def _refused(self, error: "APIStatusError") -> Exception:
        """What to do about a status. Until a first reply, a 400 or 422 may be about `response_format`, which not every
        server takes: the next try goes without it."""
        words = error.body.get("message") if isinstance(error.body, dict) else None
        answer = self._without_key(f"{error.status_code}: {shown(str(words or error.message))}")
        if error.status_code in (401, 403):
            return Hopeless(f"the server refuses the key in {self._spec.api_key_env} with {answer}")
        if error.status_code == 404:
            return Hopeless(f"there is no chat completion for model {self._spec.model!r} at this URL, {answer}")
        if error.status_code in (400, 422) and self._json_mode is None:
            self._tries_plain = not self._tries_plain
            return Unusable(f"the server refuses the request with {answer}")
        return Unanswered(f"the server answered {answer}")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _text_of(completion: Any) -> str:
    """The text of the only choice. The client checks no answer against its types, so anything may be missing."""
    choices = getattr(completion, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    refusal, text = getattr(message, "refusal", None), getattr(message, "content", None)
    if refusal:
        raise Unusable(f"it refused: {shown(str(refusal))}")
    if message is None:
        raise Unusable("it replied with something that is no chat completion")
    if not isinstance(text, str) or not text.strip():
        raise Unusable("it replied with no text")
    return text
