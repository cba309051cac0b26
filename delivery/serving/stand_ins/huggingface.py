"""transformers behind the OpenAI routes of KServe's huggingfaceserver, where there is none: it is on no package index.

    python -m delivery.serving.stand_ins.huggingface --model_dir=DIR --model_name=NAME --http_port=P

Routes and arguments are KServe's (python/huggingfaceserver and kserve/protocol/rest/openai/endpoints.py, 0.21). It
answers as the vLLM backend does: without the stop text, with `finish_reason: stop` at an answer's end, with errors in
OpenAI's form. KServe's own words for an unknown model are plain: {"error": "…"}. It listens on loopback alone.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.serving.stand_ins.generation import Generator
from delivery.serving.stand_ins.openai_reply import CompletionReply, answered
from delivery.serving.stand_ins.openai_requests import Asked, ChatRequest, CompletionRequest, RefusedRequest, parse
from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    from fastapi import FastAPI


def app_of(generator: Generator, names: Mapping[str, bool]) -> "FastAPI":
    """The HTTP face. names: under which the model is asked for, and whether its adapter answers there."""
    from importlib.metadata import version

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    app, began = FastAPI(openapi_url=None), int(time.time())

    @app.exception_handler(RefusedRequest)
    async def refuse(_: Request, error: RefusedRequest) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.exception_handler(Exception)
    async def fail(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(RefusedRequest(500, f"{type(error).__name__}: {error}").body, 500)

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        label = f"{version('transformers')} in place of KServe's huggingfaceserver"
        return {"name": "transformers", "version": label, "extensions": []}

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
            raise RefusedRequest(400, str(error), param="messages") from error
        return await answered(request, CompletionReply(generator, asked, prompt, names[asked.model]), asked.stream)

    @app.post("/openai/v1/completions")
    async def complete(request: Request) -> Response:
        asked = parse(CompletionRequest, await request.body())
        known(asked)
        prompt = generator.encode_text(asked.prompt)
        if not prompt:
            raise RefusedRequest(400, "prompt: it is empty", param="prompt")
        return await answered(request, CompletionReply(generator, asked, prompt, names[asked.model]), asked.stream)

    def known(asked: Asked) -> None:
        if asked.model not in names:
            message = f"The model `{asked.model}` does not exist; there is {', '.join(names)}."
            raise RefusedRequest(404, message, param="model", code="model_not_found")

    return app


def main() -> int:
    """Serve until the process is told to stop; returns the exit code."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m delivery.serving.stand_ins.huggingface")
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
