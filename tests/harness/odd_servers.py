"""Servers on real sockets that do what an endpoint should not: end connections, wait, answer with rubbish."""

import json
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from harness.loopback import LoopbackServer, Request

DESCRIBED = {"name": "shop", "inputs": [{"name": "price", "datatype": "FP64", "shape": [-1]}]}
Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, content: Any, kind: str = "application/json") -> Answer:
    """An answer with a body: text as it is, else JSON."""

    return lambda handler: send(handler, status, content, kind)


def send(handler: BaseHTTPRequestHandler, status: int, content: Any, kind: str) -> None:
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def forecasts(*values: Any) -> Answer:
    return says(200, {"outputs": [{"name": "predict", "datatype": "FP64", "shape": [len(values)], "data": values}]})


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def is_cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"outputs": [')
    handler.close_connection = True


def odd_server(*answers: Answer, described: Sequence[Answer] = (says(200, DESCRIBED),)) -> "OddServer":
    """A server that gives these answers to inferences, and those to requests for the description; the last for ever."""
    return OddServer(answers, described)


class OddServer(LoopbackServer):
    def __init__(self, answers: Sequence[Answer], described: Sequence[Answer]) -> None:
        super().__init__()
        self.answers = {"POST": list(answers), "GET": list(described)}
        self.bodies: list[Any] = []
        """Of the inferences that were asked for."""

    def hangs(self, handler: BaseHTTPRequestHandler) -> None:
        """An answer that does not come while the server is up."""
        self.let_go.wait()
        handler.close_connection = True

    def answer(self, request: Request) -> None:
        if request.method == "POST":
            self.bodies.append(json.loads(request.body))
        left = self.answers[request.method]
        (left.pop(0) if len(left) > 1 else left[0])(request.handler)
