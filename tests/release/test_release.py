"""Releases, proposals and the way back, in a real repository and a real registry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, candidate, model_spec
from harness.registered import Place

from delivery.registry.mlflow import mlflow_client
from delivery.releases.live import live, open_proposals
from delivery.releases.operations import promote
from delivery.releases.release import release
from delivery.releases.rollback import commit_rollback
from training.errors import GateRefused, InputError, OstinatoError

NAME = "bike-demand"
FILE = f"models/{NAME}/inferenceservice.yaml"


def show(place: Place, what: str = f"main:{FILE}") -> str:
    return bare_git(place.manifests, "show", what)


def test_releases_are_commits_with_the_evidence_in_file_and_trailers(place: Place) -> None:
    first = place.release("1")
    second = release(model_spec(), place.connections, "2", "direct", {"Ostinato-Run": "run-9"})
    assert (first.branch, first.changed, second.changed) == ("main", True, True)
    now = live(place.remote, NAME)
    assert now and (now.version, now.previous_version, now.commit) == ("2", "1", second.commit)
    message = bare_git(place.manifests, "log", "-1", "--format=%B", "main")
    assert message.splitlines()[0] == "Release bike-demand v2"
    trailers = bare_git(place.manifests, "log", "-1", "--format=%(trailers:only,unfold)", "main").splitlines()
    assert trailers == [
        "Ostinato-Model: bike-demand",
        "Ostinato-Version: 2",
        "Ostinato-Run: run-9",
        f"Ostinato-Verdict: {now.verdict_digest}",
    ]
    assert bare_git(place.manifests, "diff", "--name-only", "main~1", "main") == FILE


def test_a_second_release_of_what_is_live_changes_nothing(place: Place) -> None:
    place.release("1")
    done = place.release("2")
    again = place.release("2")
    assert (again.changed, again.commit) == (False, done.commit)
    assert place.commits() == 3


def test_a_changed_serving_part_of_the_spec_releases_the_same_version_anew(place: Place) -> None:
    place.release("1")
    place.release("2")
    spec = model_spec(serving={"scaling": {"max_replicas": 4}})
    changed = release(spec, place.connections, "2", "direct")
    now = live(place.remote, NAME)
    assert changed.changed and now and now.previous_version == "1"


def test_promote_takes_the_candidate_or_the_version_that_is_named(place: Place) -> None:
    assert promote(model_spec(), place.connections).result.version == "3"
    older = promote(model_spec(), place.connections, version="1").result
    now = live(place.remote, NAME)
    assert now and (now.version, now.previous_version, older.changed) == ("1", "3", True)


@pytest.mark.parametrize("version", ["7", "0", "-1", "latest", "1; rm"])
def test_promote_refuses_what_the_registry_does_not_have(place: Place, version: str) -> None:
    with pytest.raises(InputError, match=r"has no version .* it has 1, 2, 3"):
        promote(model_spec(), place.connections, version=version)
    assert place.commits() == 1


def test_promote_without_a_candidate_says_how_to_get_one(place: Place) -> None:
    with pytest.raises(InputError, match="has no candidate in the registry; `ostinato run other-model` makes one"):
        promote(model_spec("other-model"), place.connections)


def test_a_version_without_a_verdict_or_with_a_bad_one_is_not_released(place: Place) -> None:
    client = mlflow_client(place.tracking_uri)
    client.delete_model_version_tag(NAME, "1", "ostinato.verdict")
    client.set_model_version_tag(NAME, "2", "ostinato.verdict", "reject")
    for version, words in (("1", "has no verdict in the registry"), ("2", "is 'reject'; only a pass goes live")):
        with pytest.raises(GateRefused, match=words):
            promote(model_spec(), place.connections, version=version)
    assert place.commits() == 1


def test_a_copy_of_a_version_is_not_released(place: Place) -> None:
    place.register_copy("1")
    with pytest.raises(InputError, match="version 4 of bike-demand is a copy of version 1"):
        promote(model_spec(), place.connections, version="4")


def test_rollback_restores_the_old_bytes_step_by_step_until_nothing_was_before(place: Place) -> None:
    bytes_of = {}
    for version in ("1", "2", "3"):
        place.release(version)
        bytes_of[version] = show(place)
    culprit = bare_git(place.manifests, "rev-parse", "main")
    back = commit_rollback(place.remote, NAME)
    assert (back.version, back.changed, show(place)) == ("2", True, bytes_of["2"])
    message = bare_git(place.manifests, "log", "-1", "--format=%B", "main")
    assert message.startswith(f'Revert "Release bike-demand v3"\n\nThis reverts commit {culprit}.\n\nOstinato-Model:')
    assert commit_rollback(place.remote, NAME).version == "1"
    assert show(place) == bytes_of["1"]
    with pytest.raises(InputError, match="came with its first release"):
        commit_rollback(place.remote, NAME)
    assert place.commits() == 6


def test_a_version_released_again_after_a_rollback_has_the_same_bytes_and_rolls_back_the_same_way(place: Place) -> None:
    place.release("1")
    place.release("2")
    second = show(place)
    commit_rollback(place.remote, NAME)
    place.release("2")
    assert show(place) == second
    assert commit_rollback(place.remote, NAME).version == "1"


def test_rollback_to_a_version_restores_the_bytes_of_its_last_time_however_long_ago(place: Place) -> None:
    for version in ("1", "2", "3"):
        place.release(version)
    first = show(place, f"main~2:{FILE}")
    back = commit_rollback(place.remote, NAME, to="1")
    assert (back.version, back.changed, show(place)) == ("1", True, first)
    trailers = bare_git(place.manifests, "log", "-1", "--format=%(trailers:key=Ostinato-Version,valueonly)", "main")
    assert trailers.strip() == "1"
    again = commit_rollback(place.remote, NAME, to="1")
    assert (again.changed, again.commit) == (False, back.commit)
    assert commit_rollback(place.remote, NAME, to="3").version == "3", "the way back of the way back"


@pytest.mark.parametrize("version", ["3", "9", "latest"])
def test_rollback_to_what_was_never_live_names_what_was(place: Place, version: str) -> None:
    place.release("1")
    place.release("2")
    with pytest.raises(InputError, match=f"--to {version}: .* was never live; these were: 1, 2"):
        commit_rollback(place.remote, NAME, to=version)


def test_rollback_to_a_version_takes_a_broken_file_and_a_canary_away(place: Place) -> None:
    place.release("1")
    place.release("2")
    place.commit(FILE, b"kind: Broken\n")
    assert commit_rollback(place.remote, NAME, to="1").version == "1"
    release(model_spec(serving={"canary": {"percent": 5}}), place.connections, "3", "direct")
    back = commit_rollback(place.remote, NAME, to="1")
    now = live(place.remote, NAME)
    assert back.changed and now and (now.version, now.canary) == ("1", None)


def test_rollback_touches_only_its_own_model(place: Place) -> None:
    place.release("1")
    place.release("2")
    other = model_spec("other-model", registry=NAME)
    release(other, place.connections, "1", "direct")
    kept = show(place, "main:models/other-model/inferenceservice.yaml")
    commit_rollback(place.remote, NAME)
    assert show(place, "main:models/other-model/inferenceservice.yaml") == kept
    assert bare_git(place.manifests, "diff", "--name-only", "main~1", "main") == FILE


def test_rollback_of_a_merged_proposal_restores_what_was_live_before_the_merge(place: Place) -> None:
    place.release("1")
    first = show(place)
    proposal = place.release("2", mode="pull-request")
    merge = place.merge(proposal.branch)
    assert commit_rollback(place.remote, NAME).version == "1"
    assert show(place) == first
    assert f"This reverts commit {merge}, reversing\nchanges made to" in bare_git(
        place.manifests, "log", "-1", "--format=%B", "main"
    )


def test_rollback_gets_rid_of_a_broken_hand_edit(place: Place) -> None:
    place.release("1")
    good = show(place)
    place.commit(FILE, b"kind: [broken")
    with pytest.raises(InputError, match="is not YAML"):
        live(place.remote, NAME)
    commit_rollback(place.remote, NAME)
    assert show(place) == good


@pytest.mark.parametrize("name", [NAME, "never-released"])
def test_rollback_of_what_is_not_live_is_refused(place: Place, name: str) -> None:
    with pytest.raises(InputError, match="is not live, so there is nothing to roll back"):
        commit_rollback(place.remote, name)
    assert place.commits() == 1


def test_a_proposal_waits_on_its_own_branch_and_is_pushed_once(place: Place) -> None:
    place.release("1")
    proposal = place.release("2", mode="pull-request")
    assert (proposal.branch, proposal.changed) == ("release/bike-demand/v2", True)
    again = place.release("2", mode="pull-request")
    assert (again.changed, again.commit, again.branch) == (False, proposal.commit, proposal.branch)
    now = live(place.remote, NAME)
    assert now and now.version == "1"
    assert [(one.model, one.version, one.commit) for one in open_proposals(place.remote)] == [
        (NAME, "2", proposal.commit)
    ]


def test_a_proposal_is_renewed_when_what_is_live_has_changed(place: Place) -> None:
    place.release("1")
    old = place.release("3", mode="pull-request")
    place.release("2")
    new = place.release("3", mode="pull-request")
    assert new.changed and new.commit != old.commit
    assert "previous-version: '2'" in show(place, f"{new.branch}:{FILE}")
    assert bare_git(place.manifests, "rev-parse", f"{new.branch}~1") == bare_git(place.manifests, "rev-parse", "main")


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_merged_proposal_is_no_longer_open(place: Place, how: str) -> None:
    place.release("1")
    proposal = place.release("2", mode="pull-request")
    if how == "merge":
        place.merge(proposal.branch)
    else:
        place.commit(FILE, show(place, f"{proposal.branch}:{FILE}").encode() + b"\n")
    assert open_proposals(place.remote) == []
    assert place.release("2", mode="pull-request").changed is False


def test_a_version_that_was_merged_and_rolled_back_can_be_proposed_again(place: Place) -> None:
    place.release("1")
    place.merge(place.release("2", mode="pull-request").branch)
    commit_rollback(place.remote, NAME)
    assert place.release("2", mode="pull-request").changed
    assert [one.version for one in open_proposals(place.remote)] == ["2"]


def test_a_release_over_http_reads_and_writes_the_same(place: Place, git_server: Any) -> None:
    over_http = replace(place, remote=git_server.url_of(place.manifests))
    over_http.release("1")
    proposal = over_http.release("2", mode="pull-request")
    assert [one.commit for one in open_proposals(over_http.remote)] == [proposal.commit]
    over_http.release("2")
    assert commit_rollback(over_http.remote, NAME).version == "1"
    now = live(place.remote, NAME)
    assert now and now.version == "1"


def test_a_server_that_keeps_artifacts_to_itself_is_refused_before_anything_is_committed(place: Place) -> None:
    import sqlite3

    with sqlite3.connect(place.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET storage_location = 'mlflow-artifacts:/1/models/m-1/artifacts'")
    with pytest.raises(InputError, match="--no-serve-artifacts"):
        place.release("1")
    assert place.commits() == 1


def test_a_registry_that_is_damaged_is_named(place: Place) -> None:
    Path(place.tracking_uri.removeprefix("sqlite:///")).write_bytes(b"no database at all, but long enough" * 100)
    with pytest.raises(OstinatoError, match=r"model registry sqlite:///.* can't be used: file is not a database"):
        place.release("1")


def test_candidates_differ_by_their_weight_only(tmp_path: Path) -> None:
    from delivery.models.folder import model_digest

    one, same, other = (candidate(tmp_path / str(i), weight) for i, weight in enumerate((1, 1, 2)))
    assert model_digest(one.model) == model_digest(same.model) != model_digest(other.model)


def test_a_verdict_against_a_past_champion_releases_nothing(place: Place) -> None:
    place.release("1")
    place.release("2")
    before = place.commits()
    with pytest.raises(OstinatoError, match="judged against version 1, but version 2 is live now"):
        release(model_spec(), place.connections, "3", "direct", judged_against="1")
    with pytest.raises(OstinatoError, match="judged against no champion, but version 2 is live"):
        release(model_spec(), place.connections, "3", "direct", judged_against="")
    assert place.commits() == before
    assert release(model_spec(), place.connections, "2", "direct", judged_against="1").changed is False
    assert release(model_spec(), place.connections, "3", "direct", judged_against="2").changed is True
