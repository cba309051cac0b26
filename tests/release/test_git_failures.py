"""A remote that fails at any point of a transaction: one message, nothing half-done, and the next run lands once."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.image_registries import certificate_pem, key_pem, self_signed
from harness.loopback import Reply, Request
from harness.servers import LOGIN, START_S, GitServer
from release.transactions import commits, put, read, refs

from training.errors import InputError, OstinatoError

TOKEN = "t0k-f0r-tests"
REQUESTS = 7
"""Of a transaction that changes a file: 3 for the tip, 2 for the file, 2 for the push."""


@pytest.fixture
def url(manifests: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a manifests repository that a token can write to."""
    monkeypatch.setenv("OSTINATO_GIT_TOKEN", TOKEN)
    return git_server.url_of(manifests)


def from_request(number: int, act: Callable[[Request], None]) -> Callable[[Request], bool]:
    """What deals with the request of this number, counted from 1, and all that follow."""
    asked = []

    def intercept(request: Request) -> bool:
        asked.append(request.path)
        if len(asked) < number:
            return False
        act(request)
        return True

    return intercept


def refuse(request: Request) -> None:
    """As a server answers to a token that has ended."""
    request.send(Reply(401, headers=LOGIN))


def put_in_a_process(url: str, words: str) -> None:
    """A transaction that must fail with one message, which holds the words; nothing that it prints is a secret."""
    code = "from release.transactions import put; import sys; put(sys.argv[1], 'README.md', b'new')"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "GIT_TRACE_CURL": "1",
    }
    done = subprocess.run([sys.executable, "-c", code, url], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1], done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_a_transaction_has_as_many_requests_as_are_broken_below(
    url: str, manifests: Path, git_server: GitServer
) -> None:
    asked: list[str] = []
    git_server.intercept = lambda request: bool(asked.append(request.path))
    assert put(url, "README.md", b"new")
    assert len(asked) == REQUESTS, asked


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_remote_that_hangs_at_any_point_is_left_and_nothing_is_half_done(
    number: int, url: str, manifests: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_TIMEOUT", "0.8")
    before = refs(manifests)

    def hang(request: Request) -> None:
        git_server.let_go.clear()
        git_server.let_go.wait(START_S)
        request.cut()

    git_server.intercept = from_request(number, hang)
    with pytest.raises(OstinatoError, match=r"did not answer within 0\.8 s .*raise OSTINATO_GIT_TIMEOUT"):
        put(url, "README.md", b"new")
    assert refs(manifests) == before
    git_server.intercept = None
    git_server.let_go.set()
    monkeypatch.delenv("OSTINATO_GIT_TIMEOUT")
    assert put(url, "README.md", b"new") and commits(manifests) == 2


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_server_that_dies_in_the_middle_of_any_answer_is_named_and_the_next_run_lands_once(
    number: int, url: str, manifests: Path, git_server: GitServer
) -> None:
    before = refs(manifests)

    def break_off(request: Request) -> None:
        """Do what was asked, and die in the middle of the answer."""
        reply = git_server.backend(request)
        half = reply.content[: len(reply.content) // 2]
        request.send(Reply(200, half, {**reply.headers, "Content-Length": str(len(reply.content))}))
        request.cut()

    git_server.intercept = from_request(number, break_off)
    with pytest.raises(OstinatoError, match="can't be reached; check the URL and the network"):
        put(url, "README.md", b"new")
    done = number == REQUESTS  # the server did what it was asked, and nobody heard of it
    assert (refs(manifests) != before) == done
    git_server.intercept = None
    assert (put(url, "README.md", b"new") is None) == done
    assert commits(manifests) == 2


@pytest.mark.parametrize("number", [1, 4, 6, 7])
def test_a_token_that_expires_in_the_middle_is_named_and_nothing_is_half_done(
    number: int, url: str, manifests: Path, git_server: GitServer
) -> None:
    before = refs(manifests)
    git_server.intercept = from_request(number, refuse)
    put_in_a_process(url, "refuses the ones it got (a token may have expired, or been revoked); set OSTINATO_GIT_TOKEN")
    assert refs(manifests) == before


@pytest.mark.parametrize(
    ("status", "words"), [(403, "read and write access"), (429, "be reached"), (500, "be reached")]
)
def test_a_push_that_the_server_answers_with_an_error_is_named(
    status: int, words: str, url: str, manifests: Path, git_server: GitServer
) -> None:
    before = refs(manifests)

    def no(request: Request) -> bool:
        if "git-receive-pack" in request.target:
            request.send(Reply(status))
        return "git-receive-pack" in request.target

    git_server.intercept = no
    put_in_a_process(url, words)
    assert refs(manifests) == before


REFUSALS = {
    "GitHub, protected branch": "error: GH006: Protected branch update failed for refs/heads/main.",
    "GitHub, ruleset": "error: GH013: Repository rule violations found for refs/heads/main.",
    "GitLab": "GitLab: You are not allowed to push code to protected branches on this project.",
    "Gitea": "Gitea: Not allowed to push to protected branch main",
}


@pytest.mark.parametrize("forge", REFUSALS)
def test_a_protected_branch_is_named_in_the_forges_words_with_the_way_around_it(
    forge: str, url: str, manifests: Path
) -> None:
    for name in ("pre-receive", "update"):
        hook = manifests / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho '{REFUSALS[forge]}' >&2\nexit 1\n")
        hook.chmod(0o700)
    before = refs(manifests)
    put_in_a_process(url, "refused the commit; the live state is unchanged. Ask its owners, or release by pull request")
    with pytest.raises(OstinatoError) as caught:
        put(url, "README.md", b"new")
    assert REFUSALS[forge].removeprefix("error: ") in str(caught.value)
    assert refs(manifests) == before


def test_a_certificate_that_is_not_trusted_is_named_before_the_token_is_sent(
    manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = self_signed("git")
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    (tmp_path / "ca.pem").write_bytes(certificate_pem(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    monkeypatch.setenv("OSTINATO_GIT_TOKEN", TOKEN)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    asked: list[str] = []
    server = GitServer(tmp_path / "served")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.credentials = ("x-access-token", TOKEN)
    server.intercept = lambda request: bool(asked.append(request.path))
    url = server.url_of(manifests).replace("http://", "https://")
    with server:
        before = refs(manifests)
        put_in_a_process(url, "has a TLS certificate that is not trusted; set GIT_SSL_CAINFO")
        assert refs(manifests) == before and not asked
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "ca.pem"))
        assert put(url, "README.md", b"new")
        assert read(url, "README.md") == {"README.md": b"new"}


def test_a_remote_that_moved_to_another_address_of_the_same_server_is_followed(
    url: str, manifests: Path, git_server: GitServer
) -> None:
    git_server.credentials = ("x-access-token", TOKEN)

    def moved(request: Request) -> bool:
        if not request.path.startswith("/old.git"):
            return False
        request.send(Reply(301, headers={"Location": request.target.replace("/old.git", "/manifests.git")}))
        return True

    git_server.intercept = moved
    assert put(url.replace("manifests.git", "old.git"), "README.md", b"new")
    assert commits(manifests) == 2


def test_what_is_not_there_looks_like_a_wrong_url_and_not_like_an_outage(url: str, git_server: GitServer) -> None:
    git_server.credentials = ("x-access-token", TOKEN)
    with pytest.raises(InputError, match="is not a git repository; give the path or URL"):
        read(url.replace("manifests.git", "other.git"), "a")
