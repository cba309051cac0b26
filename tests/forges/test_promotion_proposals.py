"""Promotions and rollbacks as pull requests: what moves, that its bytes are known, and one of each that is open."""

import pytest
from forges.conftest import Desk
from harness.candidates import bare_git, model_spec

from delivery.forges.choose import forge_of
from delivery.forges.forge import ForgeError
from delivery.releases.environments import Promotion, commit_promotion, in_production
from delivery.releases.live import live
from delivery.releases.promotion_proposals import propose_promotion, propose_retirement, propose_rollback
from delivery.releases.release import Release
from delivery.releases.retirement import Retirement, commit_retirement
from delivery.releases.rollback import commit_rollback

NAME = "bike-demand"
SPEC = model_spec(release={"labels": ["model"]})


def promotion(desk: Desk) -> Promotion:
    """What `ostinato promote --to production --release pull-request` does."""
    done = commit_promotion(desk.place.remote, NAME, "pull-request")
    return propose_promotion(forge_of(desk.place.remote, desk.forge.setting), SPEC, desk.place.remote, done)


def way_back(desk: Desk, environment: str | None = None) -> Release:
    """What `ostinato rollback --release pull-request` does."""
    done = commit_rollback(desk.place.remote, NAME, environment=environment, mode="pull-request")
    at = forge_of(desk.place.remote, desk.forge.setting)
    return propose_rollback(at, SPEC, desk.place.remote, done, environment)


def test_a_promotion_is_one_pull_request_that_says_what_goes_where(desk: Desk) -> None:
    desk.place.release("1")
    first = promotion(desk)
    pull = desk.forge.only_open()
    assert first.pull_request.endswith(f"/{pull.number}")
    assert (pull.title, pull.branch, pull.labels) == (
        "Promote bike-demand v1 to production",
        "promote/bike-demand/production-v1",
        ["model"],
    )
    assert "Version 1 of `bike-demand` goes to production, the first that does" in pull.body
    assert "+ version: 1" in pull.body and "`ostinato rollback bike-demand --in production`" in pull.body
    before = list(desk.forge.seen)
    assert promotion(desk).pull_request == first.pull_request and desk.forge.seen == before
    desk.forge.merge(pull.number, "merge")
    assert in_production(desk.place.remote, NAME) == "1"
    done = promotion(desk)
    assert (done.branch, done.pull_request) == ("main", "")


def test_a_newer_release_takes_the_place_of_the_promotion_that_waits(desk: Desk) -> None:
    desk.place.release("1")
    promotion(desk)
    desk.place.release("2")
    second = promotion(desk)
    old, new = desk.forge.pulls
    assert (old.state, new.state) == ("closed", "open")
    assert f"Superseded by {second.pull_request}, which proposes version 2." in old.comments[0][1]


@pytest.mark.parametrize("environment", [None, "production"])
def test_a_rollback_is_a_pull_request_that_says_what_comes_back(github: Desk, environment: str | None) -> None:
    for version in ("1", "2"):
        github.place.release(version)
        commit_promotion(github.place.remote, NAME)
    done = way_back(github, environment)
    pull = github.forge.only_open()
    where = " in production" if environment else ""
    assert (pull.title, done.pull_request[-2:]) == (f"Roll back bike-demand{where} to v1", f"/{pull.number}")
    assert f"Version 1 of `bike-demand{where}` comes back and version 2 goes away" in pull.body
    assert "- version: 2" in pull.body and "+ version: 1" in pull.body
    github.forge.merge(pull.number, "squash")
    now = live(github.place.remote, NAME)
    assert now
    assert (now.version, in_production(github.place.remote, NAME)) == (("2", "1") if environment else ("1", "2"))


def test_a_release_and_a_promotion_of_one_model_wait_side_by_side(github: Desk) -> None:
    github.place.release("1")
    promotion(github)
    github.run("2", champion="1")
    assert sorted(one.branch for one in github.forge.pulls if one.state == "open") == [
        "promote/bike-demand/production-v1",
        "release/bike-demand/v2",
    ]


def test_a_forge_that_is_down_leaves_the_branch_and_the_same_command_finishes(github: Desk) -> None:
    github.place.release("1")
    token, github.forge.token = github.forge.token, "another"
    with pytest.raises(ForgeError, match=r"Branch promote/bike-demand/production-v1 is pushed.*run the same command"):
        promotion(github)
    assert "promote/bike-demand/production-v1" in bare_git(github.place.manifests, "branch", "--list")
    github.forge.token = token
    done = promotion(github)
    assert not done.changed and done.pull_request and len(github.forge.pulls) == 1


def test_a_retirement_is_one_pull_request_that_says_what_to_type(desk: Desk) -> None:
    desk.place.release("1")
    forge, proposals = forge_of(desk.place.remote, desk.forge.setting), SPEC.release

    def retirement() -> Retirement:
        return propose_retirement(
            forge, proposals, desk.place.remote, commit_retirement(desk.place.remote, NAME, "pull-request")
        )

    first = retirement()
    pull = desk.forge.only_open()
    assert first.pull_request.endswith(f"/{pull.number}")
    assert (pull.title, pull.branch, pull.labels) == ("Retire bike-demand", "retire/bike-demand/v1", ["model"])
    assert "`bike-demand` goes when this is merged; version 1 is live until then" in pull.body
    assert all(command in pull.body for command in first.commands)
    before = list(desk.forge.seen)
    assert retirement().pull_request == first.pull_request and desk.forge.seen == before
    desk.forge.merge(pull.number, "merge")
    assert live(desk.place.remote, NAME) is None
