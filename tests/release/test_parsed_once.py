"""A manifest is parsed once when it is read, and rendered once when it is changed."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from harness.candidates import model_spec
from harness.registered import Place

from delivery.kserve.documents import from_bytes, to_bytes
from delivery.releases.release import release
from delivery.releases.rollback import commit_rollback
from delivery.releases.shadow import commit_shadow, commit_shadow_end

NAME = "bike-demand"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
SPEC = model_spec(serving={"gateway": GATEWAY})


def work(action: Callable[[], Any]) -> tuple[int, int]:
    """How many files the action parses and how many it renders."""
    codes = {from_bytes.__code__: "parsed", to_bytes.__code__: "rendered"}
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code in codes:
            calls[codes[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls["parsed"], calls["rendered"]


def put(place: Place, version: str, percent: int | None = None) -> None:
    release(SPEC, place.connections, version, "direct", percent=percent)


def test_a_release_parses_what_is_live_once_and_renders_once(place: Place) -> None:
    assert work(lambda: put(place, "1")) == (0, 1), "a first release"
    assert work(lambda: put(place, "2")) == (1, 1)
    assert work(lambda: put(place, "2")) == (1, 1), "the same again"
    assert work(lambda: put(place, "3", percent=10)) == (1, 1), "a canary"
    assert work(lambda: put(place, "3", percent=0)) == (1, 1), "the canary as the live version"


def test_a_shadow_costs_no_more(place: Place) -> None:
    put(place, "1")
    assert work(lambda: commit_shadow(SPEC, place.connections, "3")) == (1, 1)
    assert work(lambda: put(place, "2")) == (1, 1), "a release that keeps the shadow"
    assert work(lambda: commit_shadow_end(place.remote, NAME)) == (1, 1)
    assert work(lambda: commit_shadow_end(place.remote, NAME)) == (1, 0), "nothing to end"


def test_a_rollback_parses_each_file_of_the_history_once_and_renders_nothing(place: Place) -> None:
    for version in ("1", "2", "3"):
        put(place, version)
    assert work(lambda: commit_rollback(place.remote, NAME)) == (3, 0)
    assert work(lambda: commit_rollback(place.remote, NAME, to="1")) == (3, 0), (
        "version 2's file stands twice in the history"
    )
