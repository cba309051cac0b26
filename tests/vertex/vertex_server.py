"""Vertex AI's REST interface on loopback: it reads every request into Google's own message types, which refuse unknown
fields, keeps jobs and schedules, and can go wrong in the ways that a real service does."""

import json
from typing import Any

from harness.loopback import LoopbackServer, Reply, Request
from vertex.vertex_state import Refused, State

STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


class VertexServer(LoopbackServer):
    """See the module. requests: those that change something, to be read as golden files. asked: method and path of each
    request."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.requests: list[dict[str, Any]] = []

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.log]

    def answer(self, request: Request) -> Reply:
        with self.lock:
            return self._answer(request, request.query)

    def _answer(self, request: Request, query: dict[str, str]) -> Reply:
        if request.headers.get("Authorization"):
            self.broken.append("a token was sent to an address of this machine")
        query.pop("$alt", None)
        body = json.loads(request.body) if request.body else {}
        try:
            answer = self.state.answer(request.method, request.path, query, body)
        except Refused as refusal:
            if refusal.broken:
                self.broken.append(f"{request.method} {request.path}: {refusal}")
            return Reply(refusal.status, error_body(refusal.status, str(refusal)))
        if request.method != "GET":
            self.requests.append({"method": request.method, "path": request.path, "query": query, "body": body})
        return Reply(200, answer)

    def invented(self, status: int) -> bytes:
        return error_body(status, "an invented fault")


def error_body(status: int, message: str) -> bytes:
    """As all of Google's services say that something is wrong."""
    return json.dumps({"error": {"code": status, "message": message, "status": STATUSES.get(status, "")}}).encode()
