"""A proposal that people close without merging marks its version rejected, and what takes the mark away again."""

import pytest
from forges.conftest import Desk
from harness.candidates import model_spec

from delivery.forges.choose import forge_of
from delivery.registry.lookup import registry
from delivery.registry.versions import REJECTED_TAG
from delivery.releases.operations import promote
from delivery.releases.rejection import Rejection, follow_rejections
from training.errors import GateRefused

NAME = "bike-demand"


def follow(desk: Desk) -> list[Rejection]:
    forge = forge_of(desk.place.remote, desk.forge.setting)
    assert forge
    return follow_rejections(forge, desk.place.connections, {NAME: NAME})


def mark(desk: Desk, version: str) -> str:
    found = registry(desk.place.tracking_uri).version(NAME, version)
    assert found
    return found.tags.get(REJECTED_TAG, "")


def test_a_closed_proposal_marks_its_version_rejected_with_who_and_why(desk: Desk) -> None:
    url = desk.run("1").pull_request
    desk.forge.close_by("ann", 1, "Worse on\nSundays.")
    why = f"{url} closed by ann: Worse on Sundays."
    assert follow(desk) == [Rejection(NAME, "1", why)]
    assert mark(desk, "1") == why and follow(desk) == []
    with pytest.raises(GateRefused, match=rf"was rejected: {why}.*ostinato promote {NAME} --version 1"):
        desk.run("1")
    assert len(desk.forge.pulls) == 1


def test_a_run_looks_before_it_pushes_whether_its_proposal_was_closed(github: Desk) -> None:
    github.run("1")
    github.forge.close_by("bob", 1)
    with pytest.raises(GateRefused, match="closed by bob without a comment"):
        github.run("1")
    assert mark(github, "1")


def test_a_run_that_commits_directly_does_not_bring_a_rejected_version_either(github: Desk) -> None:
    from delivery.releases.release import release

    github.run("1")
    github.forge.close_by("bob", 1)
    follow(github)
    connections = github.place.connections
    with pytest.raises(GateRefused, match="was rejected"):
        release(model_spec(), connections, "1", "direct", judged_against="")
    assert promote(model_spec(), connections, "1", "direct").result.changed, "a person may"
    assert mark(github, "1") == "" and follow(github) == []


def test_promote_overrules_with_a_new_pull_request_and_the_mark_stays_away(github: Desk) -> None:
    github.run("1")
    github.forge.close_by("ann", 1, "no")
    follow(github)
    done = github.promote("1")
    assert done.pull_request.endswith("/2") and mark(github, "1") == ""
    assert follow(github) == [] and github.run("1").pull_request == done.pull_request
    github.forge.close_by("ann", 2, "No, still")
    assert [one.why.endswith("/2 closed by ann: No, still") for one in follow(github)] == [True]


def test_reopening_or_merging_takes_the_mark_away(github: Desk) -> None:
    github.run("1")
    github.forge.close_by("ann", 1, "no")
    follow(github)
    github.forge.pulls[0].state = "open"
    assert follow(github) == [Rejection(NAME, "1", "")] and mark(github, "1") == ""
    github.forge.close_by("ann", 1, "no, yes")
    follow(github)
    github.forge.pulls[0].state = "open"
    github.forge.merge(1, "merge")
    assert follow(github) == [Rejection(NAME, "1", "")]


def test_a_closed_proposal_of_a_version_that_is_live_is_no_rejection(github: Desk) -> None:
    github.run("1")
    github.forge.close_by("ann", 1, "merged it by hand")
    github.place.merge("release/bike-demand/v1")
    assert follow(github) == [] and mark(github, "1") == ""
