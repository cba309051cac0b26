"""The HTTP entry point: a request is authenticated, read, and submitted under the event's own key."""

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.backends.remote import RemoteRun
from pipelines.events import access, meaning, read
from pipelines.events.meaning import Models, RequestedRun
from pipelines.events.read import Ignored, Refused
from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

Submit = Callable[[str, str, str, str | None], RemoteRun]
"""Start a model's run: (model, key, trigger, data); equal keys of a model give one run."""
Log = Callable[[dict[str, Any]], Any]
BODY_LIMIT = 1 << 20
"""Bytes; a notification of Cloud Storage is of some 2 kB."""


class EntryPoint:
    """What an event starts; its methods take headers with lower-case names."""

    def __init__(self, submit: Submit, models: Models, allowed: access.Access) -> None:
        self._submit = submit
        self._models = models
        self._allowed = allowed
        self._identity = access.Identity(allowed)
        # A backend finds the run of a key before it makes one; of equal events at once, one at a time may look.
        self._locks = [threading.Lock() for _ in range(64)]

    def requested_runs(self, kind: str, headers: Any, body: bytes) -> list[RequestedRun]:
        """The runs that a request asks for. Raises Refused and Ignored."""
        if kind == "mlflow":
            access.check_mlflow(self._allowed.mlflow_secret, headers, body)
            return meaning.of_version(self._models, read.mlflow_version(body))
        if kind == "drift":
            access.check_drift(self._allowed.drift_secret, headers, body)
            return meaning.of_drift(self._models, read.drift(body))
        self._identity.check(headers)
        stored = read.pubsub_object(body) if kind == "pubsub" else read.eventarc_object(headers, body)
        return meaning.of_object(self._models, stored)

    def answer(self, kind: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and document of the answer; blocks while the backend is asked."""
        try:
            return 200, {"runs": [self._start(request) for request in self.requested_runs(kind, headers, body)]}
        except Ignored as ignored:
            return 200, {"ignored": str(ignored)}
        except Refused as refused:
            return refused.status, {"error": refused.reason}
        except InputError as error:
            return 500, {"error": "the entry point's own settings are wrong; see its log", "log": str(error)}
        except (OstinatoError, OSError) as error:
            return 503, {"error": "the backend can't be used now; send it again", "log": str(error)}

    def _start(self, request: RequestedRun) -> dict[str, Any]:
        with self._locks[hash((request.model, request.key)) % len(self._locks)]:
            run = self._submit(request.model, request.key, request.trigger, None)
        return {"model": request.model, "run": run.run, "new": run.new}


def make_app(submit: Submit, models: Models, allowed: access.Access, log: Log | None = None) -> "Starlette":
    """The application. log: takes each request's record; a line of JSON on stdout unless given."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    entry, write = EntryPoint(submit, models, allowed), log or write_line

    def route(kind: str) -> Route:
        async def take(request: "Request") -> JSONResponse:
            try:
                body = await limited_body(request)
                status, answer = await run_in_threadpool(entry.answer, kind, request.headers, body)
            except Refused as refused:
                status, answer = refused.status, {"error": refused.reason}
            write(record(kind, status, answer))
            answer.pop("log", None)
            return JSONResponse(answer, status, {"Retry-After": "30"} if status == 503 else None)

        return Route(f"/events/{kind}", take, methods=["POST"])

    async def healthy(request: "Request") -> JSONResponse:
        return JSONResponse({"status": "ok"})

    routes = [route(kind) for kind in ("pubsub", "eventarc", "mlflow", "drift")]
    # Cloud Run keeps some addresses that end in z to itself, so there are two.
    return Starlette(routes=[*routes, Route("/healthz", healthy), Route("/health", healthy)])


async def limited_body(request: "Request") -> bytes:
    """Raises Refused (413) once the body is longer than :data:`BODY_LIMIT`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Refused(413, f"the body is longer than {BODY_LIMIT} bytes")
    return bytes(body)


def record(kind: str, status: int, answer: dict[str, Any]) -> dict[str, Any]:
    """A request as Cloud Logging takes it; of headers and body, nothing."""
    severity = "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO"
    outcome = answer.get("error") or answer.get("ignored") or ", ".join(run["run"] for run in answer["runs"])
    time = datetime.now(UTC).isoformat()
    return {
        "severity": severity,
        "time": time,
        "message": f"{kind}: {outcome}",
        "event": kind,
        "status": status,
        **answer,
    }


def write_line(entry: dict[str, Any]) -> None:
    print(json.dumps(entry), file=sys.stdout, flush=True)
