"""Kubeflow Pipelines' API on loopback: it keeps what it is told, walks runs through their states, checks every message
against the published contract, and can go wrong in the ways that real ones do."""

import json
import os
import re
import signal
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any

import pytest
from harness.kubeflow.contract import Broken, Contract
from harness.kubeflow.dex import Dex
from harness.kubeflow.state import Refused, State
from harness.loopback import LATE_S, LoopbackServer, Reply, Request

TOKEN = "s3cret-kfp-t0ken"


@dataclass
class Kill:
    """The client's process is killed at one of its requests that change something, before or after that was done."""

    at: int
    done: bool
    victim: int = 0
    ready: threading.Event = field(default_factory=threading.Event)


class KfpServer(LoopbackServer):
    """See the module. seen: method and path of each request that changes something. requests: those with query and
    body, to be read as golden files."""

    prefix = "/pipeline"

    def __init__(self, *, multi_user: bool = False, token: str = "", dex: Dex | None = None) -> None:
        super().__init__()
        self.contract = Contract()
        self.state = State(multi_user)
        self.token, self.dex = token, dex
        self.seen: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.kill: Kill | None = None

    def respond(self, request: Request) -> None:
        page = self.dex and self.dex.page(
            request.method, request.target, request.body, request.headers.get("Cookie", "")
        )
        if page:
            request.send(page)
        else:
            super().respond(request)

    def answer(self, request: Request) -> Reply:
        path, query = request.path.removeprefix(self.prefix), request.query
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _refusal(Refused(401, "Request header error: there is no user identity header"))
        if beside := self._beside_the_contract(path, query):
            return beside
        with self.lock:
            try:
                operation, parts = self.contract.operation(request.method, path)
                self.contract.check_query(operation, query)
                body = self._body(operation, request)
                if request.method != "GET":
                    self.seen.append(f"{request.method} {path}")
                    self.requests.append({"method": request.method, "path": path, "query": query, "body": body})
                    self._kill_before()
                if "filter" in query:
                    parts = {**parts, "filter": self.contract.check_filter(query.pop("filter"))}
                answer = self.state.answer(operation["operationId"], parts, query, body)
                self.contract.check_answer(operation, answer)
                self._kill_after(request.method)
            except Broken as broken:
                self.broken.append(f"{request.method} {path}: {broken}")
                return _refusal(Refused(400, f"not in the contract: {broken}"))
            except Refused as refused:
                return _refusal(refused)
        return Reply(200, answer)

    def _beside_the_contract(self, path: str, query: dict[str, str]) -> Reply | None:
        """What the published description leaves out: logs of pods, and what the UI's server says of pods."""
        if match := re.fullmatch(r"/apis/v2beta1/runs/[^/]+/nodes/([^/]+)/artifacts/main-logs:read", path):
            log = self.state.logs.get(match[1])
            missing = {"error_message": "artifact not found: <nil>", "error_details": "artifact not found: <nil>"}
            return Reply(404, missing) if log is None else Reply(200, {"data": b64encode(log.encode()).decode()})
        if match := re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", path):
            log = self.state.pod_logs.get(match[1])
            missing = {"error_message": "Failed to read logs", "error_details": "Failed to read logs"}
            return Reply(200, missing if log is None else log, {"Content-Type": "text/plain"})
        if path in ("/k8s/pod", "/k8s/pod/events"):
            known = self.state.pods if path == "/k8s/pod" else self.state.events
            pod = known.get(query["podname"])
            return Reply(200, pod) if pod else Reply(500, f"Could not get pod {query['podname']}")
        return None

    def _kill_before(self) -> None:
        kill = self.kill
        if kill and len(self.seen) == kill.at and not kill.done:
            self._kill(kill)
            raise Refused(503, "nobody hears this")

    def _kill_after(self, method: str) -> None:
        kill = self.kill
        if kill and method != "GET" and len(self.seen) == kill.at and kill.done:
            self._kill(kill)

    def _kill(self, kill: Kill) -> None:
        kill.ready.wait(LATE_S)
        os.kill(kill.victim, signal.SIGKILL)

    def _body(self, operation: dict[str, Any], request: Request) -> Any:
        """JSON, or the text of the package that is uploaded."""
        if "multipart/form-data" not in operation.get("consumes", []):
            body = json.loads(request.body) if request.body else None
            self.contract.check_body(operation, body)
            return body
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + request.body).get_payload()
        if not isinstance(parts, list) or len(parts) != 1:
            raise Broken("an upload has exactly one part")
        disposition = parts[0].get("Content-Disposition", "")
        if not re.search(r'name="uploadfile"', disposition) or not re.search(r'filename="[^"]+\.yaml"', disposition):
            raise Broken(f"the part is {disposition!r}, no file of the field uploadfile")
        return parts[0].get_payload(decode=True).decode()


def _refusal(refused: Refused) -> Reply:
    if refused.upload:
        return Reply(
            refused.status, {"error_message": str(refused), "error_details": f"{refused} (a stack trace follows)"}
        )
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": refused.code, "message": refused.detail}
    return Reply(refused.status, {"code": refused.code, "message": str(refused), "details": [detail]})


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server
