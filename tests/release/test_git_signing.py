"""Signed commits, as git itself verifies them: with SSH keys, and with a GPG key of a keyring of the test's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.candidates import bare_git
from release.transactions import commits, put, refs

from delivery.git.repository import ensure_local_repository
from training.errors import InputError, OstinatoError

ROOT = Path(__file__).parents[2]
WHO = "Release Robot <robot@example.org>"


def new_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "robot@example.org", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def signer(repository: Path, key: Path) -> str:
    """What git says about the signature of the live branch's tip. Raises CalledProcessError unless it is good."""
    allowed = key.with_name("allowed signers")
    allowed.write_text(f"robot@example.org {key.with_name(key.name + '.pub').read_text()}")
    bare_git(repository, "config", "gpg.ssh.allowedSignersFile", str(allowed))
    bare_git(repository, "verify-commit", "main")
    return bare_git(repository, "log", "-1", "--format=%G? %GS", "main")


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_commit_is_signed_with_the_ssh_key_that_is_configured(
    kind: str, manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path / "signing key", kind)
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", str(key))
    assert put(str(manifests), "a", b"1")
    assert signer(manifests, key) == "G robot@example.org"
    assert put(str(manifests), "a", b"1") is None
    assert commits(manifests) == 2


def test_a_key_that_an_agent_holds_is_named_by_its_public_half(
    manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path / "held")
    with tempfile.TemporaryDirectory() as short:
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", f"{short}/agent"], stdout=subprocess.PIPE)
        try:
            assert agent.stdout
            agent.stdout.readline()
            monkeypatch.setenv("SSH_AUTH_SOCK", f"{short}/agent")
            subprocess.run(["ssh-add", "-q", str(key)], check=True)
            key.unlink()
            monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", f"{key}.pub")
            assert put(str(manifests), "a", b"1")
            assert signer(manifests, key) == "G robot@example.org"
        finally:
            agent.terminate()
            agent.wait()


def test_the_first_commit_of_a_repository_is_signed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(tmp_path / "key")
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", "key")
    path = ensure_local_repository(tmp_path / "state" / "manifests.git", ROOT / "manifests")
    assert signer(path, key) == "G robot@example.org"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Fingerprint of a GPG key without passphrase, in a keyring that is thrown away."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    with tempfile.TemporaryDirectory(prefix="gpg-", ignore_cleanup_errors=True) as home:
        monkeypatch.setenv("GNUPGHOME", home)
        quick = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", WHO, "ed25519", "sign", "1d"]
        subprocess.run(quick, check=True, capture_output=True)
        listed = subprocess.run(["gpg", "--with-colons", "--list-keys"], check=True, capture_output=True, text=True)
        try:
            yield next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr"))
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=True, env={**os.environ, "GNUPGHOME": home})


def test_a_commit_is_signed_with_the_gpg_key_that_is_configured(
    keyring: str, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count, named in enumerate((keyring, keyring[-16:], "robot@example.org"), 2):
        monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", named)
        assert put(str(manifests), "a", str(count).encode())
        bare_git(manifests, "verify-commit", "main")
        assert bare_git(manifests, "log", "-1", "--format=%GS %GF", "main") == f"{WHO} {keyring}"


def no_such_gpg_key(tmp_path: Path) -> str:
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    return "0123456789ABCDEF0123456789ABCDEF01234567"


def locked_ssh_key(tmp_path: Path) -> str:
    return str(new_key(tmp_path / "locked", passphrase="opensesame"))


def no_ssh_key(tmp_path: Path) -> str:
    (tmp_path / "broken").touch(0o600)
    (tmp_path / "broken").write_text("not a key\n")
    return str(tmp_path / "broken")


@pytest.mark.parametrize("make", [no_such_gpg_key, locked_ssh_key, no_ssh_key])
def test_a_commit_that_can_not_be_signed_is_not_pushed_and_nobody_is_asked(
    make, manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_ASKPASS", f"{tmp_path}/asked")
    monkeypatch.setenv("DISPLAY", ":0")
    (tmp_path / "asked").write_text(f"#!/bin/sh\ntouch {tmp_path}/was-asked\n")
    (tmp_path / "asked").chmod(0o700)
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", make(tmp_path))
    before = refs(manifests)
    with pytest.raises(OstinatoError, match=r"can't be signed with OSTINATO_GIT_SIGNING_KEY .*nothing was pushed"):
        put(str(manifests), "a", b"1")
    assert refs(manifests) == before and not (tmp_path / "was-asked").exists()


def test_a_signing_key_that_others_can_read_is_refused(
    manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key(tmp_path / "open").chmod(0o640)
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", str(tmp_path / "open"))
    with pytest.raises(InputError, match=r"others can read \(mode 0640\); chmod 600"):
        put(str(manifests), "a", b"1")


@pytest.mark.parametrize(
    ("key", "form", "words"),
    [
        ("/no/such/key", "", "SIGNING_KEY is '/no/such/key', which is no file"),
        ("/no/such/key", "openpgp", "give a GPG fingerprint or e-mail address"),
        ("/no/such/key", "x509", "SIGNING_FORMAT is 'x509'; give ssh or openpgp"),
        ("", "ssh", "SIGNING_FORMAT is set, but OSTINATO_GIT_SIGNING_KEY is not"),
    ],
)
def test_a_signature_that_is_wrongly_configured_is_named(
    key: str, form: str, words: str, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_KEY", key)
    monkeypatch.setenv("OSTINATO_GIT_SIGNING_FORMAT", form)
    with pytest.raises(InputError, match=words):
        put(str(manifests), "a", b"1")
