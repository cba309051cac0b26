"""The token for an HTTPS remote: where it comes from, who gets it, and that nobody else ever sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.loopback import Reply, Request
from harness.servers import LOGIN, GitServer, basic
from release.transactions import commits, put, read, refs

from delivery.git.access import access
from delivery.git.credentials import forge_token
from training.errors import InputError, OstinatoError

TOKEN = "t0k-f0r-tests"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(manifests: Path, git_server: GitServer) -> str:
    """Of a manifests repository that wants the token."""
    git_server.credentials = ("x-access-token", TOKEN)
    return git_server.url_of(manifests)


@pytest.fixture(params=["OSTINATO_GIT_TOKEN", "OSTINATO_GIT_TOKEN_FILE"])
def token(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The token, set in the environment or in a file."""
    (tmp_path / "mounted token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv(request.param, TOKEN if request.param == "OSTINATO_GIT_TOKEN" else "mounted token")
    return TOKEN


def test_a_token_from_the_environment_or_a_file_reads_and_writes(token: str, url: str, manifests: Path) -> None:
    assert put(url, "models/a/x.yaml", b"one\n")
    assert read(url, "models")["models/a/x.yaml"] == b"one\n"
    assert commits(manifests) == 2


def test_a_token_in_a_file_that_is_changed_is_used_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, git_server: GitServer
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.setenv("OSTINATO_GIT_TOKEN_FILE", str(file))
    assert put(url, "a", b"1")
    git_server.credentials = ("robot", "second")
    monkeypatch.setenv("OSTINATO_GIT_USER", "robot")
    file.write_text("second")
    assert put(url, "a", b"2")


@pytest.mark.parametrize("helper", ["!f() { echo password=theirs; }; f", "store"])
def test_the_users_own_helpers_are_not_asked_and_not_told_while_a_token_is_configured(
    helper: str, token: str, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text(f'[credential]\n\tusername = me\n\thelper = "{helper}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("OSTINATO_GIT_USER", "x-access-token")
    assert put(url, "a", b"1")
    assert not (tmp_path / ".git-credentials").exists()


def test_the_users_own_helpers_stay_where_no_token_is_configured(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    helper = f"!f() {{ echo username=x-access-token; echo password={TOKEN}; }}; f"
    (tmp_path / "config").write_text(f'[credential]\n\thelper = "{helper}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert put(url, "a", b"1")


def test_a_wrong_token_is_one_error_and_nobody_is_asked_for_another(
    url: str, manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho {TOKEN}\n")
    askpass.chmod(0o700)
    monkeypatch.setenv("GIT_ASKPASS", str(askpass))
    monkeypatch.setenv("OSTINATO_GIT_TOKEN", "wr0ng")
    before = refs(manifests)
    with pytest.raises(OstinatoError, match=r"refuses the ones it got.*expired.*set OSTINATO_GIT_TOKEN") as caught:
        put(url, "a", b"1")
    assert "wr0ng" not in str(caught.value)
    assert refs(manifests) == before and not (tmp_path / "asked").exists()


def test_a_desktop_that_would_open_a_window_is_not_asked(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    window = tmp_path / "window"
    window.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho {TOKEN}\n")
    window.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(window))
    with pytest.raises(OstinatoError, match="wants credentials"):
        read(url, "a")
    assert not (tmp_path / "asked").exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[GitServer, list[str]]]:
    """Another server, and what it was told about who asks."""
    told: list[str] = []

    def record(request: Request) -> bool:
        told.append(request.headers.get("Authorization", ""))
        return False

    with GitServer(tmp_path / "served") as server:
        server.credentials, server.intercept = ("x-access-token", TOKEN), record
        yield server, told


@pytest.mark.parametrize("logs_in_first", [False, True])
def test_a_redirect_to_another_server_does_not_take_the_token_along(
    logs_in_first: bool, token: str, url: str, git_server: GitServer, elsewhere: tuple[GitServer, list[str]]
) -> None:
    other, told = elsewhere
    known = basic(("x-access-token", TOKEN))
    git_server.credentials = None

    def redirect(request: Request) -> bool:
        if logs_in_first and request.headers.get("Authorization") != known:
            request.send(Reply(401, headers=LOGIN))
        else:
            request.send(Reply(302, headers={"Location": other.url + request.target}))
        return True

    git_server.intercept = redirect
    with pytest.raises(OstinatoError, match="wants credentials"):
        read(url, "README.md")
    assert told and set(told) == {""}


def test_the_token_is_in_no_argument_of_any_process_and_in_no_file_of_the_transaction(
    token: str, url: str, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    seen: list[bytes] = []
    written: list[bytes] = []

    def look(request: Request) -> bool:
        if request.headers.get("Authorization"):
            seen.extend(line for file in Path("/proc").glob("[0-9]*/cmdline") if (line := _bytes(file)))
            written.extend(_bytes(file) for file in tmp_path.glob("ostinato-git-*/**/*") if file.is_file())
        return False

    git_server.intercept = look
    assert put(url, "a", b"1")
    assert any(b"remote-http" in line for line in seen) and any(b"promisor" in text for text in written)
    assert not any(token.encode() in text for text in (*seen, *written))
    assert token not in repr(access(url, tmp_path))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def test_a_whole_command_that_is_refused_prints_one_line_without_the_token(
    url: str, token: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "OSTINATO_MANIFESTS_REMOTE": url.replace("manifests", "private"),
        "PYTHONPATH": str(ROOT),
    }
    environment |= {"GIT_TRACE": "1", "GIT_TRACE_CURL": "1", "GIT_CURL_VERBOSE": "1", "OSTINATO_WORKSPACE": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status", "demand-forecaster"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "private.git is not a git repository" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert token not in done.stdout + done.stderr and basic(("x-access-token", token)) not in done.stdout + done.stderr


def test_a_hook_of_a_local_repository_does_not_get_the_token(token: str, manifests: Path, tmp_path: Path) -> None:
    hook = manifests / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    hook.chmod(0o700)
    put(str(manifests), "a", b"1")
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert "GIT_TERMINAL_PROMPT" in names and not any(name.startswith("OSTINATO_GIT_TOKEN") for name in names)


def test_a_token_does_not_go_over_the_network_in_the_clear(token: str) -> None:
    with pytest.raises(InputError, match="plain HTTP, and everybody on the way would read the token"):
        read("http://git.example.org/manifests.git", "a")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "can't be read"), (b"", "holds no token"), (b"a b", "holds no token"), (b"\xff", "read")],
)
def test_a_token_file_that_holds_none_is_named(
    content: bytes | None, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("OSTINATO_GIT_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InputError, match=rf"OSTINATO_GIT_TOKEN_FILE.*{words}"):
        read("https://git.example.org/manifests.git", "a")


def test_two_sources_of_the_token_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OSTINATO_GIT_TOKEN", "a")
    monkeypatch.setenv("OSTINATO_GIT_TOKEN_FILE", "b")
    with pytest.raises(InputError, match="set one of them"):
        forge_token("https://git.example.org/manifests.git")
