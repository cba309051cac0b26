"""Kubeflow Pipelines' API on loopback: it keeps what it is told, walks runs through their states, checks every message
against the published contract, and can go wrong in the ways that real ones do."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from harness.faults import LATE_S, FaultyHandler, FaultyServer
from kubeflow.kfp_contract import Broken, Contract
from kubeflow.kfp_dex import Dex
from kubeflow.kfp_state import Refused, State

TOKEN = "s3cret-kfp-t0ken"
PREFIX = "/pipeline"


@dataclass
class Kill:
    """The client's process is killed at one of its requests that change something, before or after that was done."""

    at: int
    done: bool
    victim: int = 0
    ready: threading.Event = field(default_factory=threading.Event)


class KfpServer(FaultyServer):
    """See the module. seen: method and path of each request that changes something. requests: those with query and
    body, to be read as golden files."""

    def __init__(self, *, multi_user: bool = False, token: str = "", dex: Dex | None = None) -> None:
        super().__init__(_Handler)
        self.contract = Contract()
        self.state = State(multi_user)
        self.token, self.dex = token, dex
        self.seen: list[str] = []
        self.kill: Kill | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{PREFIX}"


class _Handler(FaultyHandler):
    server: KfpServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server, url = self.server, urlsplit(self.path)
        if server.dex:
            page = server.dex.page(self.command, self.path, raw, self.headers.get("Cookie", ""))
            if page is not None:
                self.send(page.status, page.body, {"Content-Type": "text/html", **page.headers})
                return
        with server.lock:
            fault = server.next_fault(self.command, url.path)
            status, answer = 0, b""
            if fault is None or fault.done:
                status, answer = self._answer(url.path.removeprefix(PREFIX), url.query, raw)
        self.deliver(fault, status, answer)

    def _answer(self, path: str, query_text: str, raw: bytes) -> tuple[int, bytes]:
        server = self.server
        query = dict(parse_qsl(query_text, keep_blank_values=True))
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            return self._refusal(Refused(401, "Request header error: there is no user identity header"))
        try:
            operation, parts = server.contract.operation(self.command, path)
            server.contract.check_query(operation, query)
            body = self._body(operation, raw)
            if self.command != "GET":
                server.seen.append(f"{self.command} {path}")
                server.requests.append({"method": self.command, "path": path, "query": query, "body": body})
                self._kill_before()
            name = operation["operationId"]
            if "filter" in query:
                parts = {**parts, "filter": server.contract.check_filter(query.pop("filter"))}
            answer = server.state.answer(name, parts, query, body)
            server.contract.check_answer(operation, answer)
            self._kill_after()
        except Broken as broken:
            server.broken.append(f"{self.command} {path}: {broken}")
            return self._refusal(Refused(400, f"not in the contract: {broken}"))
        except Refused as refused:
            return self._refusal(refused)
        return 200, json.dumps(answer).encode()

    def _kill_before(self) -> None:
        kill = self.server.kill
        if kill and len(self.server.seen) == kill.at and not kill.done:
            self._kill(kill)
            raise Refused(503, "nobody hears this")

    def _kill_after(self) -> None:
        kill = self.server.kill
        if kill and self.command != "GET" and len(self.server.seen) == kill.at and kill.done:
            self._kill(kill)

    def _kill(self, kill: Kill) -> None:
        kill.ready.wait(LATE_S)
        os.kill(kill.victim, signal.SIGKILL)

    def _body(self, operation: dict[str, Any], raw: bytes) -> Any:
        """JSON, or the text of the package that is uploaded."""
        if "multipart/form-data" not in operation.get("consumes", []):
            body = json.loads(raw) if raw else None
            self.server.contract.check_body(operation, body)
            return body
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + raw).get_payload()
        if not isinstance(parts, list) or len(parts) != 1:
            raise Broken("an upload has exactly one part")
        disposition = parts[0].get("Content-Disposition", "")
        if not re.search(r'name="uploadfile"', disposition) or not re.search(r'filename="[^"]+\.yaml"', disposition):
            raise Broken(f"the part is {disposition!r}, no file of the field uploadfile")
        return parts[0].get_payload(decode=True).decode()

    def _refusal(self, refused: Refused) -> tuple[int, bytes]:
        return refused.status, json.dumps({"code": 3, "message": str(refused), "details": []}).encode()


@contextmanager
def running_kfp(server: KfpServer) -> Iterator[KfpServer]:
    """The server, until the block ends; then no message may have broken the contract."""
    thread = server.serve()
    try:
        yield server
    finally:
        server.end(thread)
