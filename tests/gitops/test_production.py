"""Production has aliases, proposals and a way back of its own; the release stays where it is."""

import multiprocessing
import os
import signal

import pytest
from gitops.production import FILE, NAME, PRODUCTION, blob
from harness.candidates import bare_git
from harness.registered import Place

from delivery.effects import CRASH_AT
from delivery.registry.lookup import registry
from delivery.releases.environments import commit_promotion, in_production
from delivery.releases.live import live
from delivery.releases.reconcile import reconcile
from delivery.releases.rollback import commit_rollback
from training.errors import InputError

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0


def aliases(place: Place) -> dict[str, str]:
    return registry(place.tracking_uri).aliases(NAME)


def test_each_environment_has_an_alias_once_there_are_two(place: Place) -> None:
    place.release("1")
    reconcile(place.connections)
    assert "champion-staging" not in aliases(place)
    commit_promotion(place.remote, NAME)
    place.release("2")
    reconcile(place.connections)
    shown = aliases(place)
    assert (shown["champion"], shown["champion-staging"], shown["champion-production"]) == ("2", "2", "1")
    assert reconcile(place.connections) == []
    place.git("rm", "-r", "--quiet", PRODUCTION)
    reconcile(place.connections)
    assert not {"champion-staging", "champion-production"} & set(aliases(place))


def _reconcile(place: Place) -> None:
    os.environ[CRASH_AT] = "environment champion set"
    reconcile(place.connections)


def test_a_kill_between_the_environments_aliases_is_finished_by_the_next_reconcile(place: Place) -> None:
    place.release("1")
    commit_promotion(place.remote, NAME)
    victim = FORK.Process(target=_reconcile, args=(place,))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL
    assert [one.alias for one in reconcile(place.connections)] == ["champion-production"]


def test_a_proposed_promotion_waits_for_its_reviewer_and_is_the_same_branch_again(place: Place) -> None:
    place.release("1")
    before = place.commits()
    proposal = commit_promotion(place.remote, NAME, "pull-request")
    again = commit_promotion(place.remote, NAME, "pull-request")
    assert (proposal.branch, proposal.changed) == ("promote/bike-demand/production-v1", True)
    assert (again.commit, again.changed, place.commits()) == (proposal.commit, False, before)
    assert in_production(place.remote, NAME) == ""
    place.merge(proposal.branch)
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == blob(place, FILE)
    merged = commit_promotion(place.remote, NAME, "pull-request")
    assert (merged.branch, merged.changed) == ("main", False)


def test_production_alone_is_rolled_back_and_the_release_stays(place: Place) -> None:
    for version in ("1", "2", "3"):
        place.release(version)
        commit_promotion(place.remote, NAME)
    first = blob(place, f"{PRODUCTION}/inferenceservice.yaml", "main~4")
    back = commit_rollback(place.remote, NAME, environment="production")
    now = live(place.remote, NAME)
    assert now and (back.version, in_production(place.remote, NAME), now.version) == ("2", "2", "3")
    assert "Ostinato-Environment: production" in bare_git(place.manifests, "log", "-1", "--format=%B", "main")
    commit_rollback(place.remote, NAME, to="1", environment="production")
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == first
    with pytest.raises(InputError, match=r"version 9 of bike-demand in production was never live; these were: 1, 2, 3"):
        commit_rollback(place.remote, NAME, to="9", environment="production")
    with pytest.raises(InputError, match="--in is 'staging'; give production"):
        commit_rollback(place.remote, NAME, environment="staging")


def test_what_was_promoted_once_can_not_be_rolled_back_further(place: Place) -> None:
    with pytest.raises(InputError, match="bike-demand in production is not live"):
        commit_rollback(place.remote, NAME, environment="production")
    place.release("1")
    commit_promotion(place.remote, NAME)
    with pytest.raises(InputError, match="came with its first promotion"):
        commit_rollback(place.remote, NAME, environment="production")


@pytest.mark.parametrize("environment", [None, "production"])
def test_a_proposed_rollback_waits_for_its_reviewer(place: Place, environment: str | None) -> None:
    for version in ("1", "2"):
        place.release(version)
        commit_promotion(place.remote, NAME)
    before = place.commits()
    proposal = commit_rollback(place.remote, NAME, environment=environment, mode="pull-request")
    again = commit_rollback(place.remote, NAME, environment=environment, mode="pull-request")
    assert proposal.branch == f"rollback/bike-demand/{environment or 'release'}-v1"
    assert (again.commit, again.changed, place.commits()) == (proposal.commit, False, before)
    place.merge(proposal.branch)
    released = live(place.remote, NAME)
    assert released
    assert (released.version, in_production(place.remote, NAME)) == (("2", "1") if environment else ("1", "2"))
