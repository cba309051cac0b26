"""The service: the page, its one question to the model, and what a platform asks."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.chat.conversation import BODY_BYTES, MESSAGES, QUESTION_CHARS, Conversation
from app.chat.language_model import LanguageModel, Text
from app.chat.problems import Problem
from app.chat.settings import Settings

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class SameHeaders:
    """Sets the headers on every answer; it does not touch the body, so it does not hold a stream back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


def create_app(settings: Settings) -> FastAPI:
    model = LanguageModel(settings)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        await model.close()

    # No interactive API pages: they would load scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, max_body_size=BODY_BYTES, lifespan=running)
    app.add_middleware(SameHeaders)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        message = first["msg"] if first["type"] == "conversation" else "This is no conversation that the chat can read."
        return JSONResponse({"message": message, "again": False}, status_code=422)

    @app.post("/api/chat", response_class=EventSourceResponse)
    async def chat(conversation: Conversation) -> AsyncIterator[ServerSentEvent]:
        """Events `text`, then one `end` or `problem`. The browser that goes away ends the request to the model."""
        try:
            async with aclosing(model.answer(conversation.messages)) as pieces:
                async for piece in pieces:
                    yield ServerSentEvent(event="text" if isinstance(piece, Text) else "end", data=asdict(piece))
        except Problem as problem:
            yield ServerSentEvent(event="problem", data={"message": problem.message, "again": problem.again})

    @app.get("/api/about")
    async def about() -> dict[str, str | int]:
        return {"model": settings.model, "question_chars": QUESTION_CHARS, "questions": MESSAGES // 2 + 1}

    @app.get("/healthz")
    async def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        try:
            await model.check()
        except Problem as problem:
            return JSONResponse({"status": "not ready", "reason": problem.message}, status_code=503)
        return JSONResponse({"status": "ready", "model": settings.model})

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app
