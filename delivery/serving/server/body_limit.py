"""What is refused before it is read: bodies that are too large, and those that memory has no room for now.

Only the server imports it.
"""

from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.serving.server.memory_budget import CONTAINER, FACTOR, WORST_FACTOR, MemoryBudget

RETRY_AFTER_S = 1
"""What a refused caller is told to wait. A request that fills the memory takes about that long."""
SMALL = 64 * 2**10
"""Bytes of a body that gets what the worst one of its length takes, so that nothing of it is counted."""
NO_BODY = {"GET", "HEAD"}
"""Methods whose body nothing reads."""


class BodyLimit:
    """ASGI middleware: 413 for a body of more than ``most`` bytes or beyond the whole budget, whatever its header says;
    503 for one that does not fit into the budget beside what is in flight."""

    def __init__(self, app: ASGIApp, most: int, budget: MemoryBudget) -> None:
        self._app = app
        self._read = most
        """Bytes of a refused body that are read and dropped, so that who still sends comes to read the answer."""
        self._most = min(most, budget.size // FACTOR)
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in NO_BODY:
            await self._app(scope, receive, send)
            return
        stated = _stated_length(scope)
        if stated is not None and stated > self._most:
            if stated <= self._read:
                await _drop_rest(receive, self._read)
            await self._too_large(scope, receive, send)
            return
        small = stated is not None and stated <= SMALL
        reserved = (stated or 0) * (WORST_FACTOR if small else FACTOR)
        if not self._budget.reserve(reserved):
            await _drop_rest(receive, self._read)
            await _no_room(scope, receive, send)
            return
        try:
            if small:  # no more comes than the header says: the server's parser holds it
                await self._app(scope, receive, send)
            else:
                await self._count(scope, receive, send, stated)
        finally:
            self._budget.release(reserved)

    async def _count(self, scope: Scope, receive: Receive, send: Send, stated: int | None) -> None:
        """Reserve for what only the body says, as it comes: its length unless stated, and its lists and objects."""
        seen = reserved = 0
        refused = False

        async def counted() -> Message:
            nonlocal seen, reserved, refused
            if refused:
                return {"type": "http.disconnect"}
            message = await receive()
            body = message.get("body", b"")
            seen += len(body)
            more = (body.count(b"[") + body.count(b"{")) * CONTAINER + (len(body) * FACTOR if stated is None else 0)
            fits = seen <= self._most
            if fits and self._budget.reserve(more):
                reserved += more
                return message
            refused = True
            if message.get("more_body"):
                await _drop_rest(receive, self._read - seen)
            await (_no_room if fits else self._too_large)(scope, receive, send)
            return {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        finally:
            self._budget.release(reserved)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"the body is larger than {self._most} bytes; send fewer rows a request"
        response = JSONResponse({"error": text}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"connection": "close"})
        await response(scope, receive, send)


async def _drop_rest(receive: Receive, most: int) -> None:
    """Read the body to its end, or so many bytes of it."""
    while most > 0:
        message = await receive()
        most -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


async def _no_room(scope: Scope, receive: Receive, send: Send) -> None:
    text = "other requests in flight leave no memory for this one; ask again, or send fewer rows a request"
    headers = {"retry-after": str(RETRY_AFTER_S)}
    await JSONResponse({"error": text}, HTTPStatus.SERVICE_UNAVAILABLE, headers)(scope, receive, send)


def _stated_length(scope: Scope) -> int | None:
    """Bytes of the body as its header says; None for a body in chunks, or without a length that can be read."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
