"""Ask a language model over OpenAI's protocol, with conversations in and texts out."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from training.errors import InputError, OstinatoError
from training.llm_extra import need_llm_extra

if TYPE_CHECKING:
    from training.spec import Decoding

TIMEOUT_S = 120.0
Messages = Sequence[Mapping[str, str]]
"""Of a conversation: role and content."""


@dataclass(frozen=True)
class SamplingParameters:
    """How an answer is to be made; greedily unless said otherwise. None leaves a field to the server."""

    max_tokens: int | None = None
    temperature: float | None = 0.0
    stop: Sequence[str] = ()

    @classmethod
    def of(cls, decoding: "Decoding") -> Self:
        return cls(decoding.max_new_tokens, 0.0, decoding.stop)

    def fields(self) -> dict[str, Any]:
        """As the protocol has them."""
        fields = {"max_tokens": self.max_tokens, "temperature": self.temperature, "stop": list(self.stop) or None}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Completion:
    """A whole answer."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    """Of the answer; 0 for both where the server does not say."""


@dataclass(frozen=True)
class Timed:
    """A streamed answer, and how long it took."""

    text: str
    first_s: float
    """Until the first piece of text; until the end where there is none."""
    whole_s: float
    tokens: int
    """As the server counts them, else the pieces that came."""


def openai_url(url: str, path: str) -> str:
    """The base URL of the OpenAI routes: an address with the runtime's ``path`` after it, or what ends with ``/v1``
    as it is. Raises InputError for what is no address."""
    from urllib.parse import urlsplit

    try:
        at = urlsplit(url)
        known = at.scheme in ("http", "https") and bool(at.hostname)
    except ValueError:
        known = False
    if not known:
        raise InputError(f"--url {url!r} is no address; write one such as https://llm.example.org")
    bare = url.rstrip("/")
    return bare if bare.endswith("/v1") or not path else f"{bare}/{path}"


class ChatModel:
    """A model behind a base URL such as ``http://127.0.0.1:8080/openai/v1``.

    Raises OstinatoError that names the URL when nobody answers, in time or at all, or the answer is no answer of the
    protocol, with the server's own words when it refuses; InputError when the openai package is not installed. Nothing
    is sent anywhere but to that URL, and no key with it.
    """

    def __init__(self, base_url: str, model: str, timeout_s: float = TIMEOUT_S) -> None:
        need_llm_extra("asking a language model", ["openai"])
        import openai

        self.base_url, self.model = base_url.rstrip("/"), model
        self._timeout = timeout_s
        http = openai.DefaultHttpxClient(trust_env=False)
        about: dict[str, Any] = {"timeout": timeout_s, "max_retries": 0, "http_client": http}
        self._client = openai.OpenAI(base_url=self.base_url, api_key="none", organization="", project="", **about)

    def models(self) -> list[str]:
        """Names that the server lists."""
        with self._asking():
            return [listed.id for listed in self._client.models.list().data]

    def answer(self, messages: Messages, sampling: SamplingParameters) -> Completion:
        given: Any = list(messages)
        with self._asking():
            reply = self._client.chat.completions.create(model=self.model, messages=given, **sampling.fields())
            return _completion(reply, reply.choices[0].message.content)

    def complete(self, prompt: str, sampling: SamplingParameters) -> Completion:
        """What follows a text, without a chat template."""
        with self._asking():
            reply = self._client.completions.create(model=self.model, prompt=prompt, **sampling.fields())
            return _completion(reply, reply.choices[0].text)

    def stream(self, messages: Messages, sampling: SamplingParameters) -> Generator[str, None, None]:
        """The pieces of the answer as they come. Closing the generator ends the request, and so the answer."""
        for piece, _ in self._chunks(messages, sampling):
            if piece:
                yield piece

    def timed(self, messages: Messages, sampling: SamplingParameters) -> Timed:
        """A streamed answer to its end, with the clock."""
        began = time.perf_counter()
        first: float | None = None
        pieces, tokens = [], 0
        for piece, counted in self._chunks(messages, sampling):
            if piece and first is None:
                first = time.perf_counter() - began
            if piece:
                pieces.append(piece)
            tokens = counted or tokens
        whole = time.perf_counter() - began
        return Timed("".join(pieces), whole if first is None else first, whole, tokens or len(pieces))

    def _chunks(self, messages: Messages, sampling: SamplingParameters) -> Iterator[tuple[str, int]]:
        """Text and, in the last one, tokens of the whole answer."""
        given: Any = list(messages)
        usage: Any = {"include_usage": True}
        with (
            self._asking(),
            self._client.chat.completions.create(
                model=self.model, messages=given, stream=True, stream_options=usage, **sampling.fields()
            ) as chunks,
        ):
            for chunk in chunks:
                text = (chunk.choices[0].delta.content or "") if chunk.choices else ""
                yield text, chunk.usage.completion_tokens if chunk.usage else 0

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Everything that can go wrong with a request, in the words of the house."""
        import httpx
        import openai

        at = self.base_url
        try:
            yield
        except (openai.APITimeoutError, httpx.TimeoutException) as error:
            raise OstinatoError(f"{at} did not answer within {self._timeout:g} s; is the model overloaded?") from error
        except openai.APIConnectionError as error:
            what = f"nobody answers at {at}; is the server running? ({error.__cause__ or error})"
            raise OstinatoError(what) from error
        except openai.APIStatusError as error:
            raise OstinatoError(f"{at} answered {error.status_code}: {_message_of(error)}") from error
        except openai.OpenAIError as error:
            raise OstinatoError(f"{at} gave no answer of OpenAI's protocol: {error}") from error
        except httpx.HTTPError as error:
            raise OstinatoError(f"{at} broke its answer off: {error}") from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise OstinatoError(f"{at} gave no answer of OpenAI's protocol: {error!r}") from error


def _completion(reply: Any, text: Any) -> Completion:
    """Raises TypeError for what is no text."""
    if not isinstance(text, str):
        raise TypeError(f"the answer is {text!r}, no text")
    usage = reply.usage
    counts = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return Completion(text, str(reply.choices[0].finish_reason), *counts)


def _message_of(error: Any) -> str:
    """The server's own message, at most 500 characters."""
    body = error.body
    message = body.get("message", body) if isinstance(body, dict) else body
    return str(message or error.response.text or error)[:500]
