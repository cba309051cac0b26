"""A Slack-compatible webhook and a mail server on loopback, which keep what they get and can refuse it."""

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from harness.loopback import LoopbackServer, Reply, Request

SECRET_PATH = "/services/T000/B000/s3cretw3bh00k"


class Webhook(LoopbackServer):
    """answers: what the next requests get, (status, headers); 200 after them. kept: bodies that were taken."""

    prefix = SECRET_PATH

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.kept: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        body = json.loads(request.body)
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if request.path != SECRET_PATH:
            status = 404
        problem = "" if status != 200 else broken(body)
        if problem:
            status = 400
        if status == 200:
            self.kept.append(body)
        return Reply(status, problem or ("ok" if status == 200 else "no_service"), headers)


def broken(body: dict[str, Any]) -> str:
    """What of Slack's rules for a message the body breaks (docs.slack.dev/reference/block-kit/blocks)."""
    if not isinstance(body.get("text"), str) or set(body) - {"text", "blocks"}:
        return "invalid_payload"
    if len(body["blocks"]) > 50:
        return "too many blocks"
    for block in body["blocks"]:
        kind = block["type"]
        texts = block["elements"] if kind == "context" else [block["text"]]
        longest = 150 if kind == "header" else 3000
        form = "plain_text" if kind == "header" else "mrkdwn"
        if kind not in ("header", "section", "context") or any(text["type"] != form for text in texts):
            return f"invalid_blocks: {kind}"
        if any(not 0 < len(text["text"]) <= longest for text in texts):
            return f"invalid_blocks: text of {kind} has not 1 to {longest} characters"
    return ""


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks SMTP (RFC 5321) with STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4954) as far as a client of ours goes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate: Path | None = None, login: tuple[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.certificate, self.login = certificate, login
        self.refuse = ""
        """An answer to RCPT, such as `550 no such user`."""
        self.kept: list[EmailMessage] = []
        self.encrypted: list[bool] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Mail(socketserver.StreamRequestHandler):
    server: MailServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        import base64

        secure, known = False, self.server.login is None
        self.say("220 mail on loopback")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                more = [] if secure or not self.server.certificate else ["STARTTLS"]
                offers = ["here", *more, *(["AUTH PLAIN"] if self.server.login and secure else [])]
                for i, offer in enumerate(offers):
                    self.say(f"250{' ' if i == len(offers) - 1 else '-'}{offer}")
            elif word == "STARTTLS":
                self.say("220 go ahead")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(str(self.server.certificate))
                try:
                    self.connection = context.wrap_socket(self.connection, server_side=True)
                except ssl.SSLError:
                    return
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                secure = True
            elif word == "AUTH":
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                known = tuple(given) == self.server.login
                self.say("235 welcome" if known else "535 no")
            elif word == "MAIL" and not known:
                self.say("530 who are you")
            elif word == "RCPT" and self.server.refuse:
                self.say(self.server.refuse)
            elif word == "DATA":
                self.say("354 go on")
                self.keep()
                self.server.encrypted.append(secure)
                self.say("250 kept")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def keep(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        found = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.server.kept.append(found)


@contextmanager
def running(server: MailServer) -> Iterator[MailServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
