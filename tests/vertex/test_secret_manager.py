"""Secrets of a step on Vertex AI: read from Secret Manager's REST interface when the step starts."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from harness.loopback import LoopbackServer, Reply, Request

from pipelines.backends.vertex.secret_manager import ENDPOINT, RETRIES, secrets_of
from training.errors import InputError, OstinatoError

QUICK = replace(RETRIES, pause_s=0)
VERSION = "projects/acme-ml/secrets/forge/versions/3"
VALUE = "s3cret-forge-t0ken"


class SecretServer(LoopbackServer):
    """`GET /v1/{version}:access`, as published. answers: status and body of the next requests, before the right one."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets = {VERSION: VALUE.encode()}
        self.answers: list[tuple[int, bytes]] = []

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.log]

    @property
    def environment(self) -> dict[str, str]:
        return {ENDPOINT: self.url, "OSTINATO_FORGE_TOKEN_SECRET": VERSION}

    def answer(self, request: Request) -> Reply:
        if self.answers:
            return Reply(*self.answers.pop(0))
        name = request.target.removeprefix("/v1/").removesuffix(":access")
        if name not in self.secrets or not request.target.endswith(":access"):
            return Reply(404, {"error": {"code": 404, "message": "Secret not found", "status": "NOT_FOUND"}})
        data = base64.b64encode(self.secrets[name]).decode()
        return Reply(200, {"name": name, "payload": {"data": data, "dataCrc32c": "1"}})


@pytest.fixture
def server() -> Iterator[SecretServer]:
    with SecretServer() as server:
        yield server


def test_a_named_secret_is_the_variable_of_the_command_and_stands_nowhere_else(server: SecretServer) -> None:
    program = "import os, sys; sys.exit(os.environ['OSTINATO_FORGE_TOKEN'] != 's3cret-forge-t0ken')"
    command = [sys.executable, "-m", "pipelines.backends.vertex.secret_manager", sys.executable, "-c", program]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.asked == [f"/v1/{VERSION}:access"]


def test_a_command_ends_as_it_ends_without_secrets() -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines.backends.vertex.secret_manager",
        "sh",
        "-c",
        'echo "$0 $1"; exit 7',
        "a b",
        "{}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "a b {}\n")


def test_the_line_end_of_echo_is_no_part_of_a_secret(server: SecretServer) -> None:
    server.secrets[VERSION] = b"two words\r\n"
    assert secrets_of(server.environment) == {"OSTINATO_FORGE_TOKEN": "two words"}


def test_variables_that_name_no_version_are_left_alone(server: SecretServer) -> None:
    named = {ENDPOINT: server.environment[ENDPOINT], "WEBHOOK_SECRET": "hunter2", "OTHER": VERSION}
    assert secrets_of(named) == {}
    assert not server.asked


@pytest.mark.parametrize("passing", [(429, b"{}"), (503, b"<html>"), (500, b"")])
def test_what_may_pass_is_tried_again_a_bounded_number_of_times(
    passing: tuple[int, bytes], server: SecretServer
) -> None:
    server.answers = [passing] * (RETRIES.attempts - 1)
    assert secrets_of(server.environment, QUICK) == {"OSTINATO_FORGE_TOKEN": VALUE}
    server.answers = [passing] * RETRIES.attempts
    with pytest.raises(OstinatoError, match=rf"OSTINATO_FORGE_TOKEN_SECRET={VERSION}: .*{passing[0]}.*tried 4 times"):
        secrets_of(server.environment, QUICK)


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (403, "grant the steps' service account roles/secretmanager.secretAccessor on projects/acme-ml/secrets/forge$"),
        (404, f"is {VERSION} right"),
        (400, "answered 400"),
    ],
)
def test_what_will_not_pass_is_told_at_once(status: int, what: str, server: SecretServer) -> None:
    server.answers = [(status, b'{"error": {"message": "no"}}')]
    with pytest.raises(InputError, match=what):
        secrets_of(server.environment)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("secret", "what"), [(b"", "is empty"), (b"a\0b", "has a NUL"), (b"\xff\xfe", "is no text")])
def test_a_secret_that_can_be_no_variable_is_refused_and_not_shown(
    secret: bytes, what: str, server: SecretServer
) -> None:
    server.secrets[VERSION] = secret
    with pytest.raises(InputError, match=what):
        secrets_of(server.environment)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"payload": {"data": "%%"}}', b"[]"])
def test_garbage_is_no_secret(body: bytes, server: SecretServer) -> None:
    server.answers = [(200, body)]
    with pytest.raises(OstinatoError, match="sent what is no secret"):
        secrets_of(server.environment)


def test_an_address_in_the_clear_is_refused() -> None:
    with pytest.raises(InputError, match="would read the secrets"):
        secrets_of({ENDPOINT: "http://secrets.example.org", "A_SECRET": VERSION})


def test_a_failure_ends_the_step_with_its_reason(server: SecretServer) -> None:
    server.secrets = {}
    command = [sys.executable, "-m", "pipelines.backends.vertex.secret_manager", "true"]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "OSTINATO_FORGE_TOKEN_SECRET: Secret Manager answered 404: Secret not found" in done.stderr
