"""The chat service on a real socket, and answers of a language model's endpoint for it, good ones and bad ones."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import requests
import uvicorn
from harness.command_line import ROOT
from harness.odd_servers import Answer, OddServer, odd_server, says

MODEL = "llm-qa"
WAIT_S = 60.0
LISTED = says(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})


def chunk(text: str | None = None, finish: str | None = None, **others: Any) -> str:
    """One `data:` line of a streamed chat completion."""
    said = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": said, "finish_reason": finish}
    whole = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice], **others}
    return f"data: {json.dumps(whole)}\n\n"


def usage(tokens: int) -> str:
    counted = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    return chunk(choices=[], usage=counted)


class Waits:
    """In a stream: nothing more until it is told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> bool:
        self.reached.set()
        return self.over.wait(WAIT_S)


class UntilGone:
    """In a stream: nothing more until the other side has closed the connection."""

    def __init__(self) -> None:
        self.gone = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> bool:
        ready, _, _ = select.select([handler.connection], [], [], WAIT_S)
        if ready and handler.connection.recv(1) == b"":
            self.gone.set()
        return False


def breaks(handler: BaseHTTPRequestHandler) -> bool:
    """In a stream: the connection ends."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    return False


def streams(*steps: Any) -> Answer:
    """A streamed answer of these `data:` lines. A step that is no text is called; unless that is true it ends there."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        with suppress(ConnectionError):  # a chat that has gone
            for step in (*steps, "data: [DONE]\n\n", ""):
                if isinstance(step, str):
                    piece = step.encode()
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                elif not step(handler):
                    handler.close_connection = True
                    return

    return answer


def answers(*pieces: str, finish: str = "stop") -> Answer:
    """A whole answer in these pieces."""
    return streams(
        chunk(role="assistant"), *(chunk(piece) for piece in pieces), chunk(finish=finish), usage(len(pieces))
    )


def refuses(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """An error as OpenAI's reference has it."""
    body = json.dumps({"error": {"message": message, "type": "error", "param": None, "code": code}}).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Chat:
    """A running chat service, with the endpoint behind it if that is one of ours."""

    def __init__(self, url: str, endpoint: OddServer) -> None:
        self.url = url
        self.endpoint = endpoint

    def answered_by(self, *given: Answer) -> None:
        """What the endpoint does from now on, the last for ever."""
        self.endpoint.answers["POST"] = list(given)
        self.endpoint.bodies.clear()

    def ask(self, *said: str) -> list[tuple[str, Any]]:
        """Events for a conversation of questions and answers in turn."""
        response = requests.post(f"{self.url}/api/chat", json={"messages": messages(*said)}, timeout=WAIT_S)
        assert response.status_code == 200, response.text
        return read_events(response.text)


def messages(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


def read_events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


@contextmanager
def chatting(*given: Answer, listed: Answer = LISTED, **settings: Any) -> Iterator[Chat]:
    """The service in a thread, in front of an endpoint that gives these answers."""
    from app.chat.service import create_app
    from app.chat.settings import Settings

    with odd_server(*given, described=[listed]) as endpoint, socket.create_server(("127.0.0.1", 0)) as listener:
        asked = {"base_url": f"{endpoint.url}/openai/v1", "model": MODEL, "first_token_s": 30, "timeout_s": 40}
        app = create_app(Settings(**{**asked, **settings}))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Chat(f"http://127.0.0.1:{listener.getsockname()[1]}", endpoint)
        finally:
            server.should_exit = True
            endpoint.let_go.set()
            thread.join(WAIT_S)


@contextmanager
def chat_process(log: Path, **variables: str) -> Iterator[str]:
    """`python -m app.chat` on a free port; gives its URL."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CHAT_", "OPENAI_"))}
    command = [sys.executable, "-m", "app.chat"]
    with (
        log.open("w") as err,
        subprocess.Popen(
            command, cwd=ROOT, env={**env, "CHAT_PORT": "0", **variables}, stdout=subprocess.PIPE, stderr=err, text=True
        ) as process,
    ):
        try:
            assert process.stdout
            said = process.stdout.readline()
            assert "http://" in said, log.read_text()
            yield said.split()[-1]
        finally:
            process.terminate()
            process.wait(WAIT_S)
