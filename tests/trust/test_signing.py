"""What is signed, with what, and what a wrong configuration says."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.command_line import ROOT, run_ostinato
from harness.signers import key_pair
from trust.chain import NAME, Chain, flipped

from delivery.registry.lookup import registry
from delivery.releases.release import release
from delivery.releases.shadow import commit_shadow
from delivery.trust.keys import (
    IDENTITY,
    ISSUER,
    KEYLESS,
    PASSWORD,
    PASSWORD_FILE,
    SIGNING_KEY,
    VERIFY_KEY,
    SigstoreIdentity,
    configured_signer,
    configured_verifier,
)
from delivery.trust.sign_existing_version import sign_registered
from delivery.trust.signing import check_folder, sign_folder
from delivery.trust.statement import Facts, check_signature, read_envelope, write_envelope
from training.errors import GateRefused, InputError, OstinatoError

FACTS = Facts("bike-demand", "sha256:aa", "sha256:bb", "c0de", "sha256:cc", "sha256:dd", "run-1", {"data.json": "1"})


def release_1(chain: Chain) -> None:
    release(chain.spec, chain.place.connections, "1", "direct")


def test_the_statement_is_in_totos_and_binds_what_the_version_was_made_from(chain: Chain, signing: None) -> None:
    chain.register()
    payload, signed = read_envelope((chain.artifacts("1") / "release.intoto.json").read_bytes())
    statement = json.loads(payload)
    tags = (registry(chain.place.tracking_uri).versions(NAME))[0].tags
    assert signed
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://ostinato.dev/release/v1"
    digest = {"sha256": tags["ostinato.model_digest"].removeprefix("sha256:")}
    assert statement["subject"] == [{"name": NAME, "digest": digest}]
    predicate = statement["predicate"]
    assert predicate.pop("evidence").keys() == {"data.json", "sample.json", "verdict.json"}
    assert predicate == {
        "registered_model": NAME,
        "data_fingerprint": tags["ostinato.data_fingerprint"],
        "code_version": chain.code,
        "spec_digest": tags["ostinato.spec_digest"],
        "verdict_digest": tags["ostinato.verdict_digest"],
        "run": "run-1",
    }


def test_equal_facts_give_equal_payloads_and_a_new_signature_each_time(signing: None) -> None:
    signer = configured_signer()
    first, second = (write_envelope(FACTS.payload(), signer) for _ in range(2))
    assert read_envelope(first) == read_envelope(second)
    assert first != second
    verifier = configured_verifier()
    assert verifier
    for one in (first, second):
        check_signature(one, verifier)


def test_openssl_agrees_with_the_signature_of_the_statement(
    signing: None, keys: dict[str, Path], tmp_path: Path
) -> None:
    envelope = json.loads(write_envelope(FACTS.payload(), configured_signer()))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    signed, signature = tmp_path / "signed", tmp_path / "signature"
    signed.write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", str(keys[VERIFY_KEY]), "-signature", str(signature)]
    done = subprocess.run([*command, str(signed)], capture_output=True, text=True)
    assert done.stdout == "Verified OK\n"


def test_a_signature_does_not_change_the_folder_and_is_kept_when_it_is_valid(chain: Chain, signing: None) -> None:
    chain.register()
    kept = {name: (chain.artifacts("1") / name).read_bytes() for name in ("model.sig", "release.intoto.json")}
    assert not sign_registered(chain.place.tracking_uri, NAME, "1")
    assert kept == {name: (chain.artifacts("1") / name).read_bytes() for name in kept}
    assert not (chain.folder("1") / "model.sig").exists()


def test_a_deploy_of_an_unsigned_version_is_refused_and_signing_it_opens_the_way(
    chain: Chain, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.register()
    monkeypatch.setenv(VERIFY_KEY, str(keys[VERIFY_KEY]))
    with pytest.raises(GateRefused, match=r"(?s)nothing was committed.*json is not signed.*ostinato sign"):
        release_1(chain)
    assert chain.place.commits() == 1
    with pytest.raises(InputError, match=SIGNING_KEY):
        sign_registered(chain.place.tracking_uri, NAME, "1")
    monkeypatch.setenv(SIGNING_KEY, str(keys[SIGNING_KEY]))
    assert sign_registered(chain.place.tracking_uri, NAME, "1")
    release_1(chain)
    assert chain.place.commits() == 2


def test_a_deploy_lists_every_difference_and_commits_nothing(chain: Chain, signing: None) -> None:
    chain.register()
    artifacts, before = chain.artifacts("1"), chain.place.commits()
    with (
        flipped(chain.folder("1") / "model.skops", 7),
        flipped(artifacts / "verdict.json", 30),
        chain.tagged("1", "ostinato.code_version", "another"),
        pytest.raises(GateRefused) as caught,
    ):
        release_1(chain)
    said = str(caught.value)
    for words in (
        "code version is",
        "the registry has another",
        "verdict.json has digest",
        "model.sig does not hold: changed: model.skops",
    ):
        assert words in said
    assert chain.place.commits() == before
    release_1(chain)


def test_another_key_signs_nothing_that_goes_live(
    chain: Chain, signing: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SIGNING_KEY, str(key_pair(tmp_path, "other")[SIGNING_KEY]))
    chain.register()
    with pytest.raises(GateRefused, match=r"(?s)not signed by the configured key.*does not hold: Key mismatch"):
        release_1(chain)


def test_a_shadow_is_held_to_the_same_signature(
    chain: Chain, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.register()
    monkeypatch.setenv(VERIFY_KEY, str(keys[VERIFY_KEY]))
    with pytest.raises(GateRefused, match="is not signed"):
        commit_shadow(chain.spec, chain.place.connections, "1")


def test_what_was_changed_is_not_signed_afterwards(chain: Chain, signing: None) -> None:
    chain.register()
    with flipped(chain.folder("1") / "MLmodel", 3), pytest.raises(OstinatoError, match="so it is not signed"):
        sign_registered(chain.place.tracking_uri, NAME, "1")


def test_a_locked_key_is_opened_by_a_password_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_environment: None
) -> None:
    locked = key_pair(tmp_path, "locked", b"open sesame")
    monkeypatch.setenv(SIGNING_KEY, str(locked[SIGNING_KEY]))
    monkeypatch.setenv(VERIFY_KEY, str(locked[VERIFY_KEY]))
    with pytest.raises(InputError, match=f"locked by a password.*{PASSWORD_FILE}"):
        configured_signer()
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(InputError, match="not opened by the given password") as caught:
        configured_signer()
    assert "wrong" not in str(caught.value)
    monkeypatch.delenv(PASSWORD)
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    monkeypatch.setenv(PASSWORD_FILE, str(secret))
    signer, verifier = configured_signer(), configured_verifier()
    assert signer and verifier and "sesame" not in repr(signer)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    check_folder(tmp_path / "model", sign_folder(tmp_path / "model", signer), verifier)
    check_signature(write_envelope(FACTS.payload(), signer), verifier)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({SIGNING_KEY: "key", KEYLESS: "1"}, "are both set"),
        ({KEYLESS: "yes"}, "is 'yes'; give 1"),
        ({KEYLESS: "1"}, f"{IDENTITY} and {ISSUER} are not set"),
        ({KEYLESS: "1", IDENTITY: "ci@example.org"}, f"{IDENTITY} is set without {ISSUER}"),
        ({SIGNING_KEY: "/nowhere/key.pem"}, "can't be read: No such file"),
        ({SIGNING_KEY: __file__}, "no private key in PEM"),
        ({VERIFY_KEY: __file__}, "no public key in PEM"),
        ({VERIFY_KEY: "curve"}, "of kind secp384r1; give an ECDSA key on the curve P-256"),
    ],
)
def test_a_wrong_configuration_names_the_variable_and_the_fix(
    environment: dict[str, str], words: str, own_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if environment.get(VERIFY_KEY) == "curve":
        environment = {VERIFY_KEY: str(tmp_path / "p384.pub")}
        make = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 | openssl pkey -pubout -out"
        subprocess.run([f"{make} {environment[VERIFY_KEY]}"], shell=True, check=True, capture_output=True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        configured_signer()
        configured_verifier()


def test_keyless_without_a_token_says_so(own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ((KEYLESS, "1"), (IDENTITY, "ci@example.org"), (ISSUER, "https://issuer.example.org")):
        monkeypatch.setenv(name, value)
    signer = configured_signer()
    assert signer == SigstoreIdentity("ci@example.org", "https://issuer.example.org") == configured_verifier()
    with pytest.raises(InputError, match=f"{KEYLESS} is 1, but there is no identity token in the environment"):
        write_envelope(FACTS.payload(), signer)


def test_a_workspace_may_commit_the_key_that_it_verifies_with(chain: Chain, keys: dict[str, Path]) -> None:
    chain.register()
    (chain.root / "release.pub").write_bytes(keys[VERIFY_KEY].read_bytes())
    (chain.root / "pyproject.toml").write_text('[tool.ostinato]\nverify_key = "release.pub"\n')
    here = {"OSTINATO_TRACKING_URI": chain.place.tracking_uri, "OSTINATO_MANIFESTS_REMOTE": chain.place.remote}
    refused = run_ostinato(chain.root, "promote", NAME, "--version", "1", **here)
    assert refused.code == 3 and "is not signed" in refused.err
    signed = run_ostinato(chain.root, "sign", NAME, "--version", "1", **here, **{SIGNING_KEY: str(keys[SIGNING_KEY])})
    assert signed.code == 0 and "is signed" in signed.out


def test_a_missing_package_is_named_with_the_extra_that_has_it(keys: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "model_signing.py").write_text("import no_such_package\n")
    code = "from delivery.trust.keys import configured_verifier\nconfigured_verifier()"
    kept = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", VERIFY_KEY: str(keys[VERIFY_KEY])}
    done = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True)
    words = "InputError: signing and verifying need the package no_such_package; install ostinato[signing]"
    assert words in done.stderr
