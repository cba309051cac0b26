"""Manifests over SSH, against a real sshd: a key of its own, a pinned host key, and nothing that ever asks."""

import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.candidates import bare_git
from release.ssh_server import SshServer, host_line, running_sshd, ssh_key
from release.transactions import commits, put, read, refs

from delivery.git.ssh import ssh_environment
from training.errors import InputError, OstinatoError


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def url(sshd: SshServer, manifests: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the manifests repository, with key and known hosts configured as they should be."""
    bare_git(manifests, "config", "uploadpack.allowFilter", "true")
    monkeypatch.setenv("OSTINATO_GIT_SSH_KEY_FILE", str(sshd.key))
    monkeypatch.setenv("OSTINATO_GIT_KNOWN_HOSTS_FILE", str(sshd.known_hosts))
    return sshd.url(manifests)


def test_a_key_and_a_pinned_host_read_and_write(url: str, manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    assert put(url, "models/a/x.yaml", b"one\n")
    assert read(url, "models")["models/a/x.yaml"] == b"one\n"
    assert commits(manifests) == 2


def test_a_server_that_speaks_gits_old_protocol_only_works_or_says_what_to_set(
    url: str, manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[protocol]\n\tversion = 0\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    bare_git(manifests, "config", "uploadpack.allowFilter", "false")
    assert put(url, "a", b"1") and put(url, "a", b"2")
    bare_git(manifests, "config", "uploadpack.allowFilter", "true")
    with pytest.raises(InputError, match=r"uploadpack\.allowAnySHA1InWant true, or let its SSH server take AcceptEnv"):
        put(url, "a", b"3")
    bare_git(manifests, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert put(url, "a", b"3")
    assert commits(manifests) == 4


def test_without_files_of_ours_the_users_command_is_kept_and_may_not_ask(
    url: str, sshd: SshServer, manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OSTINATO_GIT_SSH_KEY_FILE")
    monkeypatch.delenv("OSTINATO_GIT_KNOWN_HOSTS_FILE")
    hosts = str(sshd.known_hosts).replace("%", "%%")
    key = str(sshd.key).replace("%", "%%")
    (tmp_path / "ssh").write_text(f'UserKnownHostsFile "{hosts}"\nIdentityFile "{key}"\n')
    command = f"ssh -F {shlex.quote(str(tmp_path / 'ssh'))}"
    monkeypatch.setenv("GIT_SSH_COMMAND", command)
    assert put(url, "a", b"1")
    monkeypatch.delenv("GIT_SSH_COMMAND")
    (tmp_path / "config").write_text(f'[core]\n\tsshCommand = "{command}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert put(url, "a", b"2")
    (tmp_path / "ssh").write_text("UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\n")
    with pytest.raises(OstinatoError, match="SSH host key that is not the known one"):
        put(url, "a", b"3")
    assert commits(manifests) == 3


@pytest.mark.parametrize("known", ["another key", "none"])
def test_a_host_key_that_is_not_the_pinned_one_is_refused_and_nothing_is_half_done(
    known: str, url: str, sshd: SshServer, manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(host_line(sshd.port, ssh_key(tmp_path / "mitm")) if known != "none" else "")
    monkeypatch.setenv("OSTINATO_GIT_KNOWN_HOSTS_FILE", str(hosts))
    before, line = refs(manifests), hosts.read_text()
    with pytest.raises(OstinatoError, match=r"not the known one; .*into OSTINATO_GIT_KNOWN_HOSTS_FILE.*Host key"):
        put(url, "a", b"1")
    assert (refs(manifests), hosts.read_text()) == (before, line)


def test_a_key_that_the_server_does_not_know_is_named(
    url: str, manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_SSH_KEY_FILE", str(ssh_key(tmp_path / "stranger")))
    before = refs(manifests)
    with pytest.raises(OstinatoError, match=r"does not accept the SSH key; .*OSTINATO_GIT_SSH_KEY_FILE.*denied"):
        put(url, "a", b"1")
    assert refs(manifests) == before


def test_a_hook_that_refuses_over_ssh_is_reported_with_its_words(url: str, manifests: Path) -> None:
    hook = manifests / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o700)
    before = refs(manifests)
    with pytest.raises(OstinatoError, match=r"refused the commit; .*main is protected"):
        put(url, "a", b"1")
    assert refs(manifests) == before


def test_a_repository_that_is_not_there_over_ssh_is_the_users_mistake(url: str) -> None:
    with pytest.raises(InputError, match="is not a git repository"):
        read(url.replace("manifests.git", "other.git"), "a")


def test_a_server_that_takes_connections_and_says_nothing_ends_in_an_error(
    sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_TIMEOUT", "0.5")
    late = pytest.raises(OstinatoError, match=r"did not answer within 0\.5 s")
    with socket.create_server(("127.0.0.1", 0)) as silent, late:
        read(f"ssh://git@127.0.0.1:{silent.getsockname()[1]}/manifests.git", "a")


@pytest.mark.parametrize("variable", ["OSTINATO_GIT_SSH_KEY_FILE", "OSTINATO_GIT_KNOWN_HOSTS_FILE"])
def test_a_file_that_is_not_there_is_named_before_anything_is_asked(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/no/such/file")
    with pytest.raises(InputError, match=f"{variable} is '/no/such/file', which is no file"):
        read("git@git.example.org:fleet/manifests.git", "a")


def test_a_key_that_others_can_read_and_a_path_that_ssh_can_not_take_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_SSH_KEY_FILE", str(ssh_key(tmp_path / "key")))
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(InputError, match=r"others can read \(mode 0644\)"):
        read("git@git.example.org:fleet/manifests.git", "a")
    (tmp_path / "key").chmod(0o600)
    os.rename(tmp_path / "key", tmp_path / "k$HOME")
    monkeypatch.setenv("OSTINATO_GIT_SSH_KEY_FILE", str(tmp_path / "k$HOME"))
    with pytest.raises(InputError, match="ssh can't take a path with"):
        read("git@git.example.org:fleet/manifests.git", "a")


@pytest.mark.parametrize("environment", [{"GIT_SSH_VARIANT": "putty"}, {"GIT_SSH": "/opt/plink"}])
def test_what_is_no_openssh_gets_no_options_of_openssh(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ssh_environment(lambda: "") == {}
