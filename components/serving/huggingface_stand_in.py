"""transformers behind the OpenAI routes of KServe's huggingfaceserver, where there is none: it is on no package index.

    python -m components.serving.huggingface_stand_in --model_dir=DIR --model_name=NAME --http_port=P

Routes and arguments are KServe's (python/huggingfaceserver and kserve/protocol/rest/openai/endpoints.py, 0.21). It
answers as the vLLM backend does: without the stop text, with `finish_reason: stop` at an answer's end, with errors in
OpenAI's form. KServe's own words for an unknown model are plain: {"error": "…"}. It listens on loopback alone.
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.serving.generation import Answering, Generator, Wish
from components.serving.openai_requests import Asked, ChatRequest, CompletionRequest, Refused, parse
from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

DONE = "data: [DONE]\n\n"


class Reply:
    """One answer on its way to a caller, as chat or as a completion."""

    def __init__(self, generator: Generator, asked: Asked, prompt: list[int], with_adapter: bool) -> None:
        self._chat = isinstance(asked, ChatRequest)
        self._asked, self._prompt, self._generator = asked, prompt, generator
        limit = self._room(asked.limit)
        loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._put = partial(loop.call_soon_threadsafe, self._pieces.put_nowait)
        wish = Wish(limit, asked.temperature, asked.top_p, asked.seed, tuple(asked.stop), with_adapter)
        self._answering = Answering(self._put, wish)
        id_, kind = ("chatcmpl", "chat.completion") if self._chat else ("cmpl", "text_completion")
        self._head = {"id": f"{id_}-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        self._kind = kind

    def _room(self, limit: int | None) -> int:
        """Most tokens of the answer. Raises Refused if prompt and answer do not fit the window."""
        window, prompt = self._generator.window, len(self._prompt)
        if prompt + (limit or 1) > window:
            raise Refused(
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
            said = {"delta": {"content": piece}} if self._chat else {"text": piece}
            yield self._event({**said, "finish_reason": None})
        last = {"delta": {}} if self._chat else {"text": ""}
        yield self._event({**last, "finish_reason": self._answering.finish_reason})
        if self._asked.with_usage:
            yield self._event(None)
        yield DONE

    async def whole(self) -> dict[str, Any]:
        text = "".join([piece async for piece in self.pieces()])
        said = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": self._answering.finish_reason}
        return {**self._head, "object": self._kind, "choices": [choice], "usage": self._usage()}

    def _event(self, choice: Mapping[str, Any] | None) -> str:
        kind = f"{self._kind}.chunk" if self._chat else self._kind
        choices = [] if choice is None else [{"index": 0, "logprobs": None, **choice}]
        usage = {"usage": self._usage()} if choice is None else {}
        return f"data: {json.dumps({**self._head, 'object': kind, 'choices': choices, **usage})}\n\n"

    def _usage(self) -> dict[str, int]:
        prompt, answer = len(self._prompt), self._answering.tokens
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def app_of(generator: Generator, names: Mapping[str, bool]) -> "FastAPI":
    """The HTTP face. names: under which the model is asked for, and whether its adapter answers there."""
    from importlib.metadata import version

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    app, began = FastAPI(openapi_url=None), int(time.time())

    @app.exception_handler(Refused)
    async def refuse(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.exception_handler(Exception)
    async def fail(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(Refused(500, f"{type(error).__name__}: {error}").body, 500)

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        told = f"{version('transformers')} in place of KServe's huggingfaceserver"
        return {"name": "transformers", "version": told, "extensions": []}

    @app.get("/v2/health/live")
    @app.get("/v2/health/ready")
    async def health() -> Response:
        return Response()

    @app.get("/v2/models/{name}/ready")
    async def ready(name: str) -> Response:
        return Response(status_code=200 if name in names else 404)

    @app.get("/openai/v1/models")
    async def models() -> dict[str, Any]:
        listed = [{"id": name, "object": "model", "created": began, "owned_by": ""} for name in names]
        return {"object": "list", "data": listed}

    @app.post("/openai/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = parse(ChatRequest, await request.body())
        known(asked)
        try:
            prompt = generator.encode_chat(asked.conversation)
        except InputError as error:
            raise Refused(400, str(error), param="messages") from error
        return await answered(request, Reply(generator, asked, prompt, names[asked.model]), asked.stream)

    @app.post("/openai/v1/completions")
    async def complete(request: Request) -> Response:
        asked = parse(CompletionRequest, await request.body())
        known(asked)
        prompt = generator.encode_text(asked.prompt)
        if not prompt:
            raise Refused(400, "prompt: it is empty", param="prompt")
        return await answered(request, Reply(generator, asked, prompt, names[asked.model]), asked.stream)

    def known(asked: Asked) -> None:
        if asked.model not in names:
            message = f"The model `{asked.model}` does not exist; there is {', '.join(names)}."
            raise Refused(404, message, param="model", code="model_not_found")

    return app


async def answered(request: "Request", reply: Reply, stream: bool) -> "Response":
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


def main() -> int:
    """Serve until the process is told to stop; returns the exit code."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m components.serving.huggingface_stand_in")
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--model_name", required=True, help="the name that callers ask for")
    parser.add_argument("--http_port", type=int, default=8080)
    parser.add_argument("--dtype", default="auto", choices=["auto", "bfloat16", "float16", "float32"])
    parser.add_argument("--max_model_len", type=int, help="longest prompt with its answer; the window unless given")
    parser.add_argument("--lora-modules", default="", metavar="NAME=DIR", help="the adapter and the name it answers to")
    given = parser.parse_args()
    adapter = given.lora_modules.partition("=")[0]
    try:
        generator = Generator(given.model_dir, given.dtype, given.max_model_len)
    except OstinatoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    names = {given.model_name: not adapter, **({adapter: True} if adapter else {})}
    uvicorn.run(app_of(generator, names), host="127.0.0.1", port=given.http_port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
