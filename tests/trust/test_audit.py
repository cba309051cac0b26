"""The audit follows the chain from the live manifest to data and code; one changed byte anywhere breaks its link."""

import json
from pathlib import Path

import pytest
from harness.candidates import bare_git
from harness.command_line import run_ostinato
from trust.chain import NAME, Chain, flip, flipped, git_commit

from delivery.releases.release import release
from delivery.trust.keys import SIGNING_KEY, VERIFY_KEY
from training.errors import InputError

RUN_FILES = {
    "model.sig": "signature",
    "release.intoto.json": "statement",
    "verdict.json": "verdict",
    "sample.json": "sample",
    "data.json": "data card",
}
MODEL_FILES = ("MLmodel", "model.skops", "examples/input.json")
TAGS = {
    "ostinato.model_digest": "registry",
    "ostinato.data_fingerprint": "registry",
    "ostinato.verdict": "registry",
    "ostinato.verdict_digest": "registry",
    "ostinato.code_version": "registry",
    "ostinato.spec_digest": "registry",
    "ostinato.run": "statement",
    "ostinato.statement": "statement",
}
WHERE = (0, 0.33, 0.66, -1)
"""Of a file: the byte that is changed, as a share of its length; the last one."""


def broken(chain: Chain) -> dict[str, str]:
    return {link.name: link.detail for link in chain.audit().broken}


def at(content: bytes, where: float) -> int:
    return -1 if where < 0 else int(where * len(content))


def test_a_whole_chain_holds_at_every_link(signed: Chain, signing: None) -> None:
    found = signed.audit()
    assert found.version == "1"
    assert {link.name: link.state for link in found.links} == dict.fromkeys(
        [
            *("manifest", "registry", "model folder", "signature", "statement", "verdict", "sample", "data card"),
            *("data", "code", "spec"),
        ],
        "holds",
    )


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_changed_byte_of_the_model_folder_is_named(signed: Chain, signing: None, name: str, where: float) -> None:
    path = signed.folder("1") / name
    with flipped(path, at(path.read_bytes(), where)):
        found = broken(signed)
    assert found.keys() == {"model folder", "signature"}
    assert found["signature"] == f"model.sig does not hold: changed: {name}"


def test_every_file_of_the_model_folder_is_in_that_test(signed: Chain) -> None:
    folder = signed.folder("1")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(MODEL_FILES)


def test_a_file_put_into_the_model_folder_is_named(signed: Chain, signing: None) -> None:
    added = signed.folder("1") / ".gitattributes"
    added.write_text("more")
    try:
        assert broken(signed)["signature"] == "model.sig does not hold: extra: .gitattributes"
    finally:
        added.unlink()


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("name", "link"), RUN_FILES.items())
def test_a_changed_byte_of_the_evidence_breaks_its_link(
    signed: Chain, signing: None, name: str, link: str, where: float
) -> None:
    path = signed.artifacts("1") / name
    with flipped(path, at(path.read_bytes(), where)):
        assert link in broken(signed)
    assert broken(signed) == {}


@pytest.mark.parametrize(("name", "link"), RUN_FILES.items())
def test_evidence_that_is_gone_breaks_its_link(signed: Chain, signing: None, name: str, link: str) -> None:
    path = signed.artifacts("1") / name
    before = path.read_bytes()
    path.unlink()
    try:
        assert link in broken(signed)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(("key", "link"), TAGS.items())
def test_a_changed_byte_of_a_tag_breaks_its_link(signed: Chain, signing: None, key: str, link: str) -> None:
    from delivery.registry.lookup import registry

    found = registry(signed.place.tracking_uri).version(NAME, "1")
    assert found and found.tags.keys() == TAGS.keys()
    with signed.tagged("1", key, flip(found.tags[key].encode(), -1).decode()):
        assert link in broken(signed)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.97])
def test_a_changed_byte_of_the_manifest_is_named_with_who_changed_it(
    signed: Chain, signing: None, share: float
) -> None:
    path = f"models/{NAME}/inferenceservice.yaml"
    content = bare_git(signed.place.manifests, "show", f"main:{path}").encode() + b"\n"
    with signed.manifest(flip(content, int(share * len(content)))):
        found = broken(signed)
    assert "manifest" in found
    assert "A Person <person@example.org>" in found["manifest"] or "can't be used" in found["manifest"]


def test_a_manifest_that_was_merged_from_a_proposal_is_as_released(chain: Chain, signing: None) -> None:
    chain.register()
    release(chain.spec, chain.place.connections, "1", "pull-request")
    chain.place.merge(f"release/{NAME}/v1")
    assert chain.audit().broken == ()


def test_without_a_key_it_says_not_signed_and_the_rest_is_compared(chain: Chain) -> None:
    chain.register()
    release(chain.spec, chain.place.connections, "1", "direct")
    states = {link.name: link.state for link in chain.audit().links}
    assert (states.pop("signature"), states.pop("statement")) == ("not signed", "not signed")
    assert set(states.values()) == {"holds"}
    path = chain.artifacts("1") / "release.intoto.json"
    with flipped(path, 100):
        assert "statement" in broken(chain)


def test_without_a_verification_key_a_signature_is_not_checked(
    signed: Chain, signing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VERIFY_KEY)
    links = {link.name: link for link in signed.audit().links}
    assert links["signature"].state == links["statement"].state == "not checked"
    assert VERIFY_KEY in links["signature"].detail


def test_another_key_than_the_configured_one_breaks_both_signatures(
    signed: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness.signers import key_pair

    monkeypatch.setenv(VERIFY_KEY, str(key_pair(tmp_path, "other")[VERIFY_KEY]))
    assert broken(signed).keys() == {"signature", "statement"}


def test_data_that_has_grown_is_told_and_breaks_nothing(signed: Chain, signing: None) -> None:
    data = signed.root / "training" / "bike_demand" / "bikes.csv"
    with flipped(data, 5):
        (link,) = (one for one in signed.audit().links if one.name == "data")
    assert link.state == "not checked" and "has other content than it had" in link.detail


def test_a_commit_that_this_checkout_does_not_have_breaks_the_link(chain: Chain, signing: None) -> None:
    version = Chain(chain.root, chain.spec, chain.place, "0" * 40).register()
    release(chain.spec, chain.place.connections, version, "direct")
    assert broken(chain).keys() == {"code"}


def test_a_spec_that_has_changed_since_is_read_from_the_commit(chain: Chain, signing: None) -> None:
    chain.register()
    release(chain.spec, chain.place.connections, "1", "direct")
    file = chain.root / "training" / "bike_demand" / "spec.yaml"
    file.write_text(file.read_text().replace("max: 70", "max: 71"))
    git_commit(chain.root)
    from training.spec import load_spec

    (link,) = (one for one in Chain(chain.root, load_spec(file), chain.place, "").audit().links if one.name == "spec")
    assert link.state == "holds" and chain.code in link.detail


def test_the_command_prints_every_link_and_exits_with_1_for_a_broken_one(signed: Chain, keys: dict[str, Path]) -> None:
    here = {
        "OSTINATO_TRACKING_URI": signed.place.tracking_uri,
        "OSTINATO_MANIFESTS_REMOTE": signed.place.remote,
        **{name: str(path) for name, path in keys.items() if name != SIGNING_KEY},
    }
    whole = run_ostinato(signed.root, "audit", NAME, **here)
    assert whole.code == 0, whole.err
    assert whole.out.count("holds") == 11
    with flipped(signed.artifacts("1") / "sample.json", 20):
        found = run_ostinato(signed.root, "audit", NAME, "--json", **here)
    assert found.code == 1
    assert "the chain of bike-demand version 1 is broken at: sample" in found.err
    states = {link["name"]: link["state"] for link in json.loads(found.out)["links"]}
    assert states["sample"] == "broken" and states["spec"] == "holds"


def test_nothing_live_has_no_chain(chain: Chain) -> None:
    with pytest.raises(InputError, match="bike-demand is not live yet"):
        chain.audit()
    with pytest.raises(InputError, match="--version 7: bike-demand has versions none"):
        chain.audit("7")
