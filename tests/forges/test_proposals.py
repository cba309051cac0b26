"""One open pull request a model: opened once, updated in place, superseded by a newer version, at every forge."""

from typing import Any

import pytest
from forges.conftest import Desk, Start
from harness.candidates import bare_git, model_spec
from harness.forges.stand_in import Pull
from harness.loopback import Fault

from delivery.forges.choose import forge_of
from delivery.forges.forge import ForgeError
from delivery.releases.live import open_proposals
from delivery.releases.rejection import follow_rejections
from training.errors import GateRefused

NAME = "bike-demand"
RELEASE: dict[str, Any] = {"labels": ["model"], "reviewers": ["ann"]}


def test_a_run_opens_one_pull_request_and_again_changes_nothing(desk: Desk) -> None:
    done = desk.run("1", release=RELEASE)
    pull = desk.forge.only_open()
    assert done.pull_request.endswith(f"/{pull.number}") and done.branch == pull.branch == "release/bike-demand/v1"
    assert (pull.title, pull.labels, pull.reviewers) == ("First release of bike-demand v1", ["model"], ["ann"])
    assert "mae" in pull.body and not pull.draft
    before = list(desk.forge.seen)
    again = desk.run("1", release=RELEASE)
    assert (again.pull_request, again.changed, desk.forge.seen) == (done.pull_request, False, before)


def test_what_people_changed_is_mended_in_place_and_what_they_added_stays(desk: Desk) -> None:
    wanted = {**RELEASE, "draft": True}
    desk.run("1", release=wanted)
    pull = desk.forge.only_open()
    title, text = pull.title, pull.body
    assert pull.draft
    pull.title, pull.body, pull.labels, pull.reviewed = title.replace("v1", "v0"), "nothing", ["release"], ["ann"]
    pull.reviewers = ["ann"] if desk.forge.dialect.kind == "gitlab" else []
    desk.run("1", release=wanted)
    assert desk.forge.only_open() is pull and pull.draft
    assert (pull.title, pull.body.strip(), pull.labels) == (title, text.strip(), ["release", "model"])
    assert pull.reviewers == (["ann"] if desk.forge.dialect.kind == "gitlab" else []), "who answered is not asked again"
    pull.draft, pull.title, pull.body = False, "First release of bike-demand v1", "an edit"
    desk.run("1", release=wanted)
    assert not pull.draft and pull.body != "an edit", "people decide when it is ready"


def test_a_newer_version_supersedes_the_older_proposal_with_a_link_which_is_no_rejection(desk: Desk) -> None:
    desk.run("1")
    second = desk.run("2")
    old, new = desk.forge.pulls
    assert (old.state, new.state) == ("closed", "open")
    (comment,) = old.comments
    assert f"Superseded by {second.pull_request}, which proposes version 2." in comment[1]
    forge = forge_of(desk.place.remote, desk.forge.setting)
    assert forge and follow_rejections(forge, desk.place.connections, {NAME: NAME}) == []
    desk.run("2")
    assert len(old.comments) == 1 and len(desk.forge.pulls) == 2


def test_a_late_run_of_an_older_version_is_refused_and_a_person_may_overrule_it(github: Desk) -> None:
    newer = github.run("2")
    with pytest.raises(GateRefused, match=rf"version 2 of bike-demand is proposed at {newer.pull_request}.*promote"):
        github.run("1")
    assert github.forge.only_open().branch == "release/bike-demand/v2"
    github.promote("1")
    assert github.forge.only_open().branch == "release/bike-demand/v1"


def test_other_models_and_branches_of_forks_are_nobodys_business(desk: Desk) -> None:
    desk.forge.pulls = [
        Pull(1, "release/bike-demand/v1", "main", "From a fork", "", fork=True),
        Pull(2, "release/other-model/v9", "main", "Another model", ""),
        Pull(3, "fix-typo", "main", "A person's", ""),
    ]
    done = desk.run("2")
    assert done.pull_request.endswith("/4")
    assert [one.state for one in desk.forge.pulls] == ["open"] * 4 and not any(one.comments for one in desk.forge.pulls)
    desk.forge.close_by("bob", 1, "no fork may say no")
    desk.promote("1")
    assert desk.forge.only_open_of("bike-demand") == "release/bike-demand/v1"


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_what_is_merged_is_not_open_any_more_and_a_run_says_so(github: Desk, how: Any) -> None:
    github.run("1")
    github.forge.merge(1, how)
    assert open_proposals(github.place.remote) == []
    done = github.run("1")
    assert (done.branch, done.changed, done.pull_request, len(github.forge.pulls)) == ("main", False, "", 1)
    github.run("2", champion="1")
    assert github.forge.only_open().title == "Release bike-demand v2" and len(github.forge.pulls) == 2


def test_a_lost_answer_is_looked_up_so_that_nothing_is_opened_twice(desk: Desk) -> None:
    desk.forge.faults = [Fault("POST", "pulls", done=True), Fault("POST", "merge_requests", done=True)]
    desk.run("1")
    assert len(desk.forge.pulls) == 1
    desk.forge.faults = [Fault("POST", "comments", done=True), Fault("POST", "notes", done=True)]
    desk.run("2")
    assert len(desk.forge.pulls[0].comments) == 1 and desk.forge.only_open().branch == "release/bike-demand/v2"


def test_a_bad_gateway_before_success_is_waited_out(github: Desk) -> None:
    for method in ("GET", "POST"):
        github.forge.faults += [Fault(method, "pulls", 502, times=2), Fault(method, "merge_requests", 503, times=2)]
    github.run("1")
    assert len(github.forge.pulls) == 1


def test_an_expired_token_leaves_the_branch_and_running_again_finishes(github: Desk) -> None:
    github.forge.token = "another"
    with pytest.raises(ForgeError, match=r"refuses the token of OSTINATO_FORGE_TOKEN.*Branch release/bike-demand/v1 "):
        github.run("1")
    assert bare_git(github.place.manifests, "branch", "--list", "release/*").strip() == "release/bike-demand/v1"
    github.forge.token = "s3cret-t0ken"
    done = github.run("1")
    assert not done.changed and done.pull_request and len(github.forge.pulls) == 1


@pytest.mark.parametrize("kind", ["gitlab", "gitea"])
def test_a_label_or_reviewer_that_the_forge_does_not_have_is_named(kind: str, start: Start) -> None:
    desk = start(kind)
    with pytest.raises(ForgeError, match="nobody"):
        desk.run("1", release={"reviewers": ["nobody"]})
    if desk.forge.dialect.kind == "gitea":
        with pytest.raises(ForgeError, match="has no label 'unheard' in the repository; make it there"):
            desk.run("1", release={"labels": ["unheard"]})
    done = desk.run("1")
    assert done.pull_request and len([one for one in desk.forge.pulls if one.state == "open"]) == 1


def test_a_canary_is_proposed_as_one_and_widened_in_the_same_pull_request(github: Desk) -> None:
    from delivery.releases.canary import commit_canary
    from delivery.releases.propose import propose

    github.run("1")
    github.forge.merge(1, "merge")
    for percent in (10, 50):
        connections = github.place.connections
        done = commit_canary(model_spec(), connections, percent, "2", "pull-request")
        at = forge_of(github.place.remote, github.forge.setting)
        propose(at, model_spec(), connections, done, by_hand=True)
        pull = github.forge.only_open()
        assert pull.title == f"Canary of bike-demand v2 with {percent} %"
        assert f"as a canary with {percent} % of the requests, beside version 1" in pull.body
    assert len(github.forge.pulls) == 2
