"""An answer of a language model on its way to a caller, in the forms of OpenAI's protocol: whole, or in pieces."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from delivery.serving.stand_ins.generation import Answering, Generator
from delivery.serving.stand_ins.openai_requests import Asked, ChatRequest, RefusedRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

DONE = "data: [DONE]\n\n"


class CompletionReply:
    """One answer on its way to a caller, as chat or as a completion."""

    def __init__(self, generator: Generator, asked: Asked, prompt: list[int], with_adapter: bool) -> None:
        self._chat = isinstance(asked, ChatRequest)
        self._asked, self._prompt, self._generator = asked, prompt, generator
        limit = self._room(asked.limit)
        loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._put = partial(loop.call_soon_threadsafe, self._pieces.put_nowait)
        self._answering = Answering(self._put, asked, limit, with_adapter)
        id_, kind = ("chatcmpl", "chat.completion") if self._chat else ("cmpl", "text_completion")
        self._head = {"id": f"{id_}-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        self._kind = kind

    def _room(self, limit: int | None) -> int:
        """Most tokens of the answer. Raises RefusedRequest if prompt and answer do not fit the window."""
        window, prompt = self._generator.window, len(self._prompt)
        if prompt + (limit or 1) > window:
            raise RefusedRequest(
                400,
                f"This model's maximum context length is {window} tokens. However, you requested "
                f"{prompt + (limit or 1)} tokens ({prompt} in the messages, {limit or 1} in the completion). Please "
                "reduce the length of the messages or completion.",
                param="messages" if self._chat else "prompt",
                code="context_length_exceeded",
            )
        return limit or window - prompt

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it is made. Whoever stops listening stops it."""
        future = self._generator.start(self._prompt, self._answering)
        future.add_done_callback(lambda _: self._put(None))
        try:
            while (piece := await self._pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            self._answering.cancelled.set()

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events, the last one [DONE]."""
        if self._chat:
            yield self._event({"delta": {"role": "assistant", "content": ""}, "finish_reason": None})
        async for piece in self.pieces():
            part = {"delta": {"content": piece}} if self._chat else {"text": piece}
            yield self._event({**part, "finish_reason": None})
        last = {"delta": {}} if self._chat else {"text": ""}
        yield self._event({**last, "finish_reason": self._answering.finish_reason})
        if self._asked.with_usage:
            yield self._event(None)
        yield DONE

    async def whole(self) -> dict[str, Any]:
        text = "".join([piece async for piece in self.pieces()])
        content = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": self._answering.finish_reason}
        return {**self._head, "object": self._kind, "choices": [choice], "usage": self._usage()}

    def _event(self, choice: Mapping[str, Any] | None) -> str:
        kind = f"{self._kind}.chunk" if self._chat else self._kind
        choices = [] if choice is None else [{"index": 0, "logprobs": None, **choice}]
        usage = {"usage": self._usage()} if choice is None else {}
        return f"data: {json.dumps({**self._head, 'object': kind, 'choices': choices, **usage})}\n\n"

    def _usage(self) -> dict[str, int]:
        prompt, answer = len(self._prompt), self._answering.tokens
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


async def answered(request: "Request", reply: CompletionReply, stream: bool) -> "Response":
    """The answer as it is made, or whole; it is given up when the caller goes away."""
    from starlette.responses import JSONResponse, Response, StreamingResponse

    if stream:
        return StreamingResponse(reply.events(), media_type="text/event-stream")
    whole, gone = asyncio.ensure_future(reply.whole()), asyncio.ensure_future(_gone(request))
    await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not whole.done():
        whole.cancel()
        return Response(status_code=499)
    return JSONResponse(whole.result())


async def _gone(request: "Request") -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
