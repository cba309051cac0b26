"""What was taken back stays back: a late run, or the next one on the same data, does not bring it live again."""

from dataclasses import replace
from typing import Any

import pytest
from harness.candidates import bare_git, model_spec
from harness.registered import Place

from delivery.git.repository import ReleaseMode, open_repository
from delivery.releases.live import live
from delivery.releases.operations import promote
from delivery.releases.release import release
from delivery.releases.rollback import commit_canary_end, commit_rollback
from training.errors import GateRefused

NAME = "bike-demand"


def by_a_run(place: Place, version: str, against: str, mode: ReleaseMode = "direct", **spec: Any) -> Any:
    """As the deploy step releases: with the champion that the verdict was against."""
    return release(model_spec(**spec), place.connections, version, mode, judged_against=against)


@pytest.mark.parametrize("mode", ["direct", "pull-request"])
def test_a_run_does_not_bring_back_what_was_rolled_back_and_says_who_can(place: Place, mode: ReleaseMode) -> None:
    by_a_run(place, "1", "")
    gone = by_a_run(place, "2", "1").commit
    commit_rollback(place.remote, NAME)
    before = bare_git(place.manifests, "for-each-ref")
    with pytest.raises(GateRefused, match=rf"version 2 .* {gone[:12]} .*ostinato promote {NAME} --version 2"):
        by_a_run(place, "2", "1", mode)
    assert bare_git(place.manifests, "for-each-ref") == before
    assert promote(model_spec(), place.connections, version="2").result.changed


def test_a_revert_by_hand_counts_as_well(place: Place) -> None:
    by_a_run(place, "1", "")
    before = bare_git(place.manifests, "show", f"main:models/{NAME}/inferenceservice.yaml")
    by_a_run(place, "2", "1")
    place.commit(f"models/{NAME}/inferenceservice.yaml", before.encode() + b"\n")
    with pytest.raises(GateRefused, match="version 2"):
        by_a_run(place, "2", "1")


def test_an_aborted_canary_does_not_start_again(place: Place) -> None:
    by_a_run(place, "1", "")
    canary = {"serving": {"canary": {"percent": 10}}}
    assert by_a_run(place, "2", "1", **canary).canary_percent == 10
    assert by_a_run(place, "2", "1", **canary).changed is False
    commit_canary_end(place.remote, NAME)
    with pytest.raises(GateRefused, match="version 2"):
        by_a_run(place, "2", "1", **canary)


def test_a_merged_proposal_that_was_rolled_back_is_not_proposed_again(place: Place) -> None:
    by_a_run(place, "1", "")
    place.merge(by_a_run(place, "2", "1", "pull-request").branch)
    commit_rollback(place.remote, NAME)
    with pytest.raises(GateRefused, match="version 2"):
        by_a_run(place, "2", "1", "pull-request")


def test_what_is_new_or_live_goes_on_as_before(place: Place) -> None:
    by_a_run(place, "1", "")
    by_a_run(place, "2", "1")
    commit_rollback(place.remote, NAME)
    assert by_a_run(place, "1", "1").changed is False
    assert by_a_run(place, "3", "1").changed
    now = live(place.remote, NAME)
    assert now and (now.version, now.previous_version) == ("3", "1")


def test_over_http_only_commits_are_read_for_it(place: Place, git_server: Any) -> None:
    far = replace(place, remote=git_server.url_of(place.manifests))
    by_a_run(far, "1", "")
    by_a_run(far, "2", "1")
    commit_rollback(far.remote, NAME)
    with pytest.raises(GateRefused, match="version 2"):
        by_a_run(far, "2", "1")
    assert by_a_run(far, "3", "1").changed
    with open_repository(far.remote) as repository:
        first = repository.git("rev-list", "--max-parents=0", repository.snapshot().commit).decode().strip()
        assert first == bare_git(place.manifests, "rev-parse", "main").strip(), "the history is not here"
        repository.fetch_commits()
        oldest = repository.git("rev-list", "--max-parents=0", "main").decode().strip()
        assert oldest == bare_git(place.manifests, "rev-list", "--max-parents=0", "main").strip()
        missing = repository.git("rev-list", "--objects", "--missing=print", oldest).decode().splitlines()
        assert any(line.startswith("?") for line in missing), "folders of old commits stay where they are"
