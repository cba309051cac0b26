"""A model is taken out by one commit, its aliases follow, and what ends it in the cluster is said."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, model_spec
from harness.command_line import run_ostinato
from harness.registered import Place

from delivery.connections import Connections
from delivery.effects import CRASH_AT
from delivery.registry.lookup import registry
from delivery.releases.environments import commit_promotion
from delivery.releases.live import live, open_proposals
from delivery.releases.operations import Outcome, retire, start_canary
from delivery.releases.reconcile import reconcile
from delivery.releases.release import release
from delivery.releases.retirement import Retirement, commit_retirement
from training.errors import InputError, OstinatoError
from training.spec import ReleaseSpec

NAME = "bike-demand"
DIRECT, PROPOSED = ReleaseSpec(), ReleaseSpec(mode="pull-request")
ENDING = (
    f"kubectl -n argocd delete --ignore-not-found applications.argoproj.io ostinato.models.{NAME}",
    f"kubectl -n models delete --ignore-not-found serviceaccounts/{NAME} inferenceservices.serving.kserve.io/{NAME}",
)
FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0


@pytest.fixture
def promoted(place: Place) -> Place:
    """Version 2 is live after version 1, which is in production; all aliases follow."""
    place.release("1")
    commit_promotion(place.remote, NAME)
    place.release("2")
    reconcile(place.connections)
    assert set(aliases(place)) == {"candidate", "champion", "previous", "champion-staging", "champion-production"}
    return place


def aliases(place: Place) -> dict[str, str]:
    return registry(place.tracking_uri).aliases(NAME)


def files(place: Place, commit: str = "main") -> list[str]:
    return [path for path in bare_git(place.manifests, "ls-tree", "-r", "--name-only", commit).split() if NAME in path]


def retired(place: Place, proposals: ReleaseSpec = DIRECT) -> Outcome[Retirement]:
    return retire(NAME, place.connections, proposals)


def test_one_commit_takes_every_folder_out_and_nothing_else(promoted: Place) -> None:
    before = set(bare_git(promoted.manifests, "ls-tree", "-r", "main").splitlines())
    assert len(files(promoted)) == 5
    outcome = retired(promoted)
    after = set(bare_git(promoted.manifests, "ls-tree", "-r", "main").splitlines())
    assert after == {line for line in before if NAME not in line}
    assert outcome.result.changed and outcome.result.commit == bare_git(promoted.manifests, "rev-parse", "main")
    assert bare_git(promoted.manifests, "rev-list", "--count", "main") == "5"
    assert bare_git(promoted.manifests, "log", "-1", "--format=%B", "main").splitlines() == [
        f"Retire {NAME}",
        "",
        "Version 2 was live. The cluster keeps its service until that is deleted there.",
        "",
        f"Ostinato-Model: {NAME}",
        f"Ostinato-Retired: {NAME}",
    ]


def test_the_aliases_go_and_reconcile_agrees(promoted: Place) -> None:
    outcome = retired(promoted)
    gone = ["champion", "previous", "champion-staging", "champion-production"]
    assert [(change.alias, change.after) for change in outcome.aliases] == [(alias, "") for alias in gone]
    assert set(aliases(promoted)) == {"candidate"}
    assert reconcile(promoted.connections) == reconcile(promoted.connections, NAME) == []
    assert set(aliases(promoted)) == {"candidate"}


def test_again_changes_nothing_and_says_the_same_commands(promoted: Place) -> None:
    first, again = retired(promoted), retired(promoted)
    assert first.result.commands == again.result.commands == ENDING
    assert (again.result.changed, again.aliases, again.result.version) == (False, (), "2")
    assert promoted.commits() == 5


def test_with_two_environments_both_applications_and_namespaces_are_named(promoted: Place) -> None:
    path = "argocd/kustomization.yaml"
    text = bare_git(promoted.manifests, "show", f"main:{path}")
    promoted.commit(path, text.replace("# components: [env", "components: [env").encode())
    application, production, staging = retired(promoted).result.commands
    assert application.endswith(f"applications.argoproj.io ostinato.models.{NAME} ostinato.models.{NAME}.staging")
    assert production == ENDING[1] and staging == ENDING[1].replace("-n models", "-n models-staging")


@pytest.mark.parametrize(
    "crash_at", ["commit written", "commit pushed", "champion set", "previous set", "environment champion set"]
)
def test_a_kill_leaves_a_state_from_which_the_same_command_finishes(crash_at: str, promoted: Place) -> None:
    def killed() -> None:
        os.environ[CRASH_AT] = crash_at
        retired(promoted)

    victim = FORK.Process(target=killed)
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL
    outcome = retired(promoted)
    assert outcome.result.changed == (crash_at == "commit written") and outcome.result.commands == ENDING
    assert files(promoted) == [] and set(aliases(promoted)) == {"candidate"} and promoted.commits() == 5


def test_reconcile_finishes_what_a_kill_left(promoted: Place) -> None:
    commit_retirement(promoted.remote, NAME)
    assert {change.alias for change in reconcile(promoted.connections)} == set(aliases_of_production())
    assert set(aliases(promoted)) == {"candidate"}


def aliases_of_production() -> tuple[str, ...]:
    return "champion", "previous", "champion-staging", "champion-production"


def test_half_of_a_model_that_somebody_took_out_is_finished(promoted: Place) -> None:
    promoted.git("rm", "-r", "--quiet", f"models/{NAME}")
    outcome = retired(promoted)
    assert outcome.result.changed and outcome.result.version == "2"
    assert files(promoted) == [] and set(aliases(promoted)) == {"candidate"}


def test_a_release_while_retiring_stops_it_and_one_of_another_model_does_not(place: Place) -> None:
    first = place.release("1").commit
    second = place.release("2").commit
    bare_git(place.manifests, "update-ref", "refs/heads/main", first)
    place.move_during_a_push(second)
    with pytest.raises(OstinatoError, match=f"a release of {NAME} landed while retiring it"):
        retired(place)
    assert bare_git(place.manifests, "rev-parse", "main") == second

    other = release(model_spec("other-model", registry=NAME), place.connections, "1", "direct").commit
    bare_git(place.manifests, "update-ref", "refs/heads/main", second)
    place.move_during_a_push(other)
    assert retired(place).result.changed and bare_git(place.manifests, "rev-parse", "main~1") == other
    assert live(place.remote, "other-model")


def test_aliases_that_another_model_has_stay(place: Place) -> None:
    place.release("1")
    reconcile(place.connections)
    release(model_spec("other-model", registry=NAME), place.connections, "1", "direct")
    retired(place)
    assert aliases(place)["champion"] == "1"
    assert reconcile(place.connections) == []


def test_a_proposal_waits_for_its_reviewer_and_reconcile_follows_the_merge(promoted: Place) -> None:
    first, again = retired(promoted, PROPOSED).result, retired(promoted, PROPOSED).result
    assert (first.branch, first.changed, again.changed, again.commit) == (
        f"retire/{NAME}/v2",
        True,
        False,
        first.commit,
    )
    assert "there is no forge for pull requests" in first.note and first.commands == ENDING
    assert len(files(promoted)) == 5 and aliases(promoted)["champion"] == "2"
    assert reconcile(promoted.connections) == [] and open_proposals(promoted.remote) == []
    promoted.merge(first.branch)
    assert len(reconcile(promoted.connections)) == 4 and set(aliases(promoted)) == {"candidate"}
    assert retired(promoted, PROPOSED).result.branch == "main"


def test_a_merged_proposal_does_not_stand_for_the_next_one(promoted: Place) -> None:
    branch = retired(promoted, PROPOSED).result.branch
    promoted.git("merge", "--squash", f"origin/{branch}")
    assert files(promoted) == []
    promoted.git("revert", "--no-edit", "HEAD")
    again = retired(promoted, PROPOSED).result
    assert again.changed and again.branch == branch


def test_a_revert_brings_the_model_and_its_aliases_back(promoted: Place) -> None:
    commit = retired(promoted).result.commit
    promoted.git("revert", "--no-edit", commit)
    assert len(reconcile(promoted.connections)) == 4
    assert aliases(promoted)["champion"] == "2"


def test_a_running_canary_and_a_model_that_never_was_live_are_refused(place: Place) -> None:
    with pytest.raises(InputError, match=f"{NAME} never was live, so there is nothing to retire"):
        retired(place)
    with pytest.raises(InputError, match="is not allowed: use 1 to 48"):
        retire("../x", place.connections, DIRECT)
    place.release("1")
    start_canary(model_spec(), place.connections, 10, "2")
    before = place.commits()
    with pytest.raises(InputError, match=rf"version 2 of {NAME} is a canary.*ostinato canary {NAME} --finish"):
        retired(place)
    assert place.commits() == before


def test_without_the_registry_git_is_done_and_the_aliases_are_told(promoted: Place) -> None:
    outcome = retire(NAME, Connections("file:///nowhere", promoted.remote), DIRECT)
    assert outcome.result.changed and files(promoted) == [] and "is a folder" in outcome.behind
    assert len(retired(promoted).aliases) == 4


def test_the_command_needs_no_training_folder_and_says_what_to_type(
    promoted: Place, workspace: Path, ostinato: Any
) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": promoted.remote, "OSTINATO_TRACKING_URI": promoted.tracking_uri}
    first = ostinato("retire", NAME, expect=0, **where)
    commit = bare_git(promoted.manifests, "rev-parse", "--short=12", "main")
    assert first.out.splitlines() == [
        f"{NAME}@champion: 2 -> none",
        f"{NAME}@previous: 1 -> none",
        f"{NAME}@champion-staging: 2 -> none",
        f"{NAME}@champion-production: 1 -> none",
        f"{NAME}: is out of main (commit {commit}); version 2 was live",
        "The cluster keeps it; now, in this order:",
        *(f"  {command}" for command in ENDING),
    ]
    again = json.loads(ostinato("retire", NAME, "--json", expect=0, **where).out)
    assert again["changed"] is False and again["aliases"] == [] and again["commands"] == list(ENDING)
    wrong = run_ostinato(workspace, "retire", NAME, "--release", "later", **where)
    assert (wrong.code, "release is 'later'; give direct or pull-request" in wrong.err) == (2, True)
