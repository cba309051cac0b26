"""Answers of the language model, through the OpenAI SDK."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, AsyncStream, Timeout
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from app.chat.conversation import Message
from app.chat.problems import Malformed, Problem, in_plain_words, log
from app.chat.settings import Settings

RETRIES = 3
"""The SDK's, for 408, 409, 429, 5xx and broken connections: it waits 0.5 s, then twice as long each time, or what
Retry-After says."""
CONNECT_S = 5.0
READY_S = 5.0


@dataclass(frozen=True)
class Text:
    """A piece of an answer."""

    text: str


@dataclass(frozen=True)
class End:
    """The answer is whole. cut: at the limit of tokens, as far as the endpoint counts them."""

    model: str
    cut: bool


class LanguageModel:
    """One model behind one OpenAI-compatible URL; for one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Without a key of its own the SDK would send OPENAI_API_KEY of the environment, to whoever answers here.
        key = settings.api_key.get_secret_value() if settings.api_key else "none"
        self._client = AsyncOpenAI(
            base_url=str(settings.base_url),
            api_key=key,
            max_retries=RETRIES,
            timeout=Timeout(settings.timeout_s, connect=CONNECT_S),
        )

    async def close(self) -> None:
        await self._client.close()

    async def answer(self, conversation: Sequence[Message]) -> AsyncGenerator[Text | End]:
        """The answer's pieces as they come, and one End.

        Until the first piece a failure is tried again: by the SDK, and once more if the connection breaks after the
        endpoint accepted the question. After that nothing is, or the reader would see another text. Closing the
        iterator closes the request. Raises Problem.
        """
        now = asyncio.get_running_loop().time()
        whole = now + self._settings.timeout_s
        first = min(now + self._settings.first_token_s, whole)
        answer = Answer(self._settings.model, self._settings.max_tokens)
        try:
            with in_plain_words(self._settings.model):
                for last in (False, True):
                    async with asyncio.timeout_at(first):
                        stream = await self._ask(conversation)
                    async with stream:
                        try:
                            while (chunk := await next_chunk(stream, whole if answer.begun else first)) is not None:
                                if text := answer.take(chunk):
                                    yield Text(text)
                            yield answer.end()
                            return
                        except APIConnectionError as error:
                            if answer.begun:
                                log.warning("the answer broke off: %r", error.__cause__)
                                raise Problem("The connection to the model broke off.", again=True) from error
                            if last:
                                raise
        except TimeoutError as error:
            log.warning("no %s within %g s", *(("end", whole - now) if answer.begun else ("answer", first - now)))
            if answer.begun:
                raise Problem(f"The answer took longer than {whole - now:g} seconds.", again=True) from error
            raise Problem(f"The model did not begin to answer within {first - now:g} seconds.", again=True) from error

    async def check(self) -> None:
        """Return if the endpoint answers for this model. Raises Problem if not.

        It is asked for its list of models. If that can't be had or does not name ours, one token of an answer decides,
        since not every server lists what it serves.
        """
        client = self._client.with_options(max_retries=0, timeout=READY_S)
        with in_plain_words(self._settings.model):
            try:
                if any(model.id == self._settings.model for model in (await client.models.list()).data or ()):
                    return
            except APIStatusError as error:
                log.info("the list of models is not to be had: %s", error.message)
            await client.chat.completions.create(
                model=self._settings.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
            )

    async def _ask(self, conversation: Sequence[Message]) -> AsyncStream[ChatCompletionChunk]:
        messages: list[ChatCompletionMessageParam] = []
        if self._settings.system:
            messages.append({"role": "system", "content": self._settings.system})
        for message in conversation:
            if message.role == "user":
                messages.append({"role": "user", "content": message.content})
            else:
                messages.append({"role": "assistant", "content": message.content})
        return await self._client.chat.completions.create(
            model=self._settings.model,
            messages=messages,
            max_tokens=self._settings.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
        )


class Answer:
    """What is known of an answer so far."""

    def __init__(self, model: str, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._finish: str | None = None
        self._tokens = 0
        self.begun = False

    def take(self, chunk: ChatCompletionChunk) -> str:
        """The text of a chunk, which may be empty. Raises Malformed."""
        try:
            if chunk.usage:
                self._tokens = chunk.usage.completion_tokens
            if chunk.model:
                self._model = chunk.model
            if not chunk.choices:
                return ""
            choice = chunk.choices[0]
            text = choice.delta.content or ""
        except (AttributeError, TypeError, KeyError) as error:
            raise Malformed(f"a piece of the stream is no chat.completion.chunk: {error}") from error
        if not isinstance(text, str):
            raise Malformed(f"a piece of the stream has {type(text).__name__} where its text should be")
        self._finish = choice.finish_reason or self._finish
        self.begun = self.begun or bool(text)
        return text

    def end(self) -> End:
        """Raises Malformed for a stream that held no chunk at all, Problem for an answer that is empty or not whole.

        A finish reason alone does not say that an answer was cut: KServe's Hugging Face backend says "length" with
        every chunk. So the tokens count, where the endpoint counts them.
        """
        if self._finish is None:
            if self.begun:
                log.warning("the stream ended without a finish_reason")
                raise Problem("The connection to the model broke off.", again=True)
            raise Malformed("the stream ended without a chat.completion.chunk that has a finish_reason")
        if not self.begun:
            log.warning("an empty answer, finish_reason %s", self._finish)
            raise Problem("The model answered with nothing.", again=True)
        return End(self._model, cut=self._finish == "length" and self._tokens >= self._max_tokens)


async def next_chunk(stream: AsyncStream[ChatCompletionChunk], until: float) -> ChatCompletionChunk | None:
    """None at the end. until: on the loop's clock. Raises TimeoutError, Malformed, and what the SDK raises."""
    try:
        async with asyncio.timeout_at(until):
            return await anext(stream)
    except StopAsyncIteration:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"a piece of the stream is no JSON: {error}") from error
