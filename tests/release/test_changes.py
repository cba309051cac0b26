"""The changes of a manifest, without git: each gives another one, and leaves the one that it is given as it is."""

from copy import deepcopy
from dataclasses import replace

import pytest
from harness.candidates import model_spec

from delivery.kserve.canary import with_canary
from delivery.kserve.changes import settle, with_release, with_shadow, without_canary, without_shadow
from delivery.kserve.manifest import Manifest, ServedVersion
from delivery.kserve.parse import parse
from training.spec import ModelSpec

NAME = "bike-demand"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
STANDARD = model_spec(serving={"gateway": GATEWAY})
KNATIVE = model_spec(serving={"deployment_mode": "Knative"})
each_mode = pytest.mark.parametrize("spec", [STANDARD, KNATIVE], ids=["Standard", "Knative"])


def version(number: int) -> ServedVersion:
    digest = f"sha256:{str(number) * 64}"
    return ServedVersion(str(number), f"s3://models/m-{number}/artifacts", digest, digest, digest, "c0de", digest)


def read(manifest: Manifest) -> Manifest:
    """The manifest as the next command reads it from git."""
    again = parse(manifest.content, NAME, manifest.served.commit)
    assert again.served == manifest.served, "what is served is known without reading the file again"
    assert again.documents == manifest.documents
    return again


def live(spec: ModelSpec) -> Manifest:
    return read(with_release(spec, read(with_release(spec, None, version(1))), version(2)))


@each_mode
def test_a_canary_starts_is_widened_and_becomes_the_live_version(spec: ModelSpec) -> None:
    now = live(spec)
    started = read(with_canary(spec, now, version(3), 10))
    assert started.served.canary == replace(version(3), percent=10), "with every fact of it"
    assert (started.served.version, started.served.percent, started.served.storage_uri) == (
        "2",
        90,
        now.served.storage_uri,
    )
    assert [served.version for served in started.served.versions] == ["2", "3"]
    wider = read(with_canary(spec, started, version(3), 50))
    assert wider.served.canary == replace(version(3), percent=50)
    finished = with_release(spec, wider, version(3))
    assert finished.content == with_release(spec, now, version(3)).content
    assert (finished.served.previous_version, finished.served.canary) == ("2", None)


@each_mode
def test_a_canary_that_was_ended_leaves_the_manifest_from_before_it(spec: ModelSpec) -> None:
    now = live(spec)
    ended = read(without_canary(now))
    assert ended.served == now.served
    settled = settle(ended)
    assert settled and settled.content == now.content
    assert settle(read(with_canary(spec, now, version(3), 10))) is None, "what is live is not decided"


def test_a_shadow_comes_stays_over_a_release_and_goes() -> None:
    now = live(STANDARD)
    shadowed = read(with_shadow(STANDARD, now, version(4)))
    assert shadowed.served.shadow == replace(version(4), percent=0)
    assert (shadowed.served.canary, shadowed.served.percent) == (None, 100)
    assert with_release(STANDARD, shadowed, version(3)).served.shadow == shadowed.served.shadow
    assert with_release(STANDARD, shadowed, version(4)).served.shadow is None, "it is live now"
    assert with_canary(STANDARD, shadowed, version(3), 10).served.shadow is None
    assert with_shadow(STANDARD, shadowed, version(3)).served.shadow == replace(version(3), percent=0)
    for plain in (without_shadow(shadowed), settle(shadowed)):
        assert plain and plain.content == now.content


def test_what_changes_nothing_is_the_same_manifest() -> None:
    now = live(STANDARD)
    assert without_shadow(now) is now and settle(now) is now and without_canary(now) is now
    shadowed = read(with_shadow(STANDARD, now, version(4)))
    assert with_release(STANDARD, shadowed, version(2)) is shadowed
    with_a_canary = with_canary(STANDARD, now, version(3), 10)
    assert with_release(STANDARD, with_a_canary, version(2)) is with_a_canary, "the spec counts when the canary ends"


@each_mode
def test_no_change_touches_what_it_is_given(spec: ModelSpec) -> None:
    now = live(spec)
    before = deepcopy(now.documents)
    with_release(spec, now, version(3))
    without_canary(now)
    beside = with_canary(spec, now, version(3), 10)
    if spec is STANDARD:
        beside = with_shadow(spec, now, version(3))
    kept = deepcopy(beside.documents)
    settle(beside)
    without_shadow(beside)
    with_release(spec, beside, version(3))
    assert (now.documents, beside.documents) == (before, kept)
