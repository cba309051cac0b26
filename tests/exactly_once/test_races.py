"""Releases that run at once, in processes, beside a real MLflow server and git over HTTP: none lost, none twice."""

import re
from collections.abc import Sequence
from pathlib import Path

from exactly_once.attempts import Attempt, Outcome, Release, new_release
from exactly_once.invariants import World, all_hold
from harness.candidates import bare_git

from delivery.registry.lookup import registry
from delivery.releases.live import live, open_proposals
from delivery.releases.reconcile import reconcile

MODELS, SAME = 16, 8
OVERTAKEN = re.compile(
    r"version [1-9] of (\S+) was judged against version 1, but version [1-9] is live now: another release came "
    r"between, so nothing was committed\. Run `ostinato run \1` again"
)


def at_once(releases: Sequence[Release]) -> list[Outcome]:
    """Start them all, and wait for each."""
    attempts = [Attempt(one) for one in releases]
    return [one.end() for one in attempts]


def first(world: World, folder: Path, name: str) -> None:
    """Version 1 goes live."""
    assert at_once([new_release(folder, name, world.connections, 1)])[0].ended == "done"


def test_sixteen_models_released_at_once_all_land(served: World, tmp_path: Path) -> None:
    names = [f"crowd-{number}" for number in range(MODELS)]
    outcomes = at_once([new_release(tmp_path / name, name, served.connections, 1) for name in names])
    assert {outcome.ended for outcome in outcomes} == {"done"}, outcomes
    all_hold(served, {name: ["1"] for name in names})
    assert reconcile(served.connections) == []


def test_of_eight_versions_judged_against_one_champion_one_lands_and_the_others_are_told_why(
    served: World, tmp_path: Path
) -> None:
    name = "rivals"
    first(served, tmp_path / "first", name)
    jobs = [new_release(tmp_path / str(weight), name, served.connections, weight, "1") for weight in range(2, 2 + SAME)]
    outcomes = at_once(jobs)
    assert sorted(outcome.ended for outcome in outcomes) == ["done"] + ["refused"] * (SAME - 1), outcomes
    assert all(OVERTAKEN.fullmatch(outcome.said) for outcome in outcomes if outcome.ended == "refused"), outcomes
    now = live(served.remote, name)
    assert now and len(registry(served.tracking_uri).versions(name)) == 1 + SAME
    all_hold(served, {name: ["1", now.version]})
    again = next(job for job, outcome in zip(jobs, outcomes, strict=True) if outcome.ended == "refused")
    weight = int(again.run.removeprefix("run-"))
    judged_again = new_release(tmp_path / "again", name, served.connections, weight, champion=now.version)
    assert [one.ended for one in at_once([judged_again])] == ["done"]
    last = live(served.remote, name)
    assert last and last.previous_version == now.version
    all_hold(served, {name: ["1", now.version, last.version]})


def test_eight_runs_of_the_very_same_version_release_it_once(served: World, tmp_path: Path) -> None:
    name = "twins"
    first(served, tmp_path / "first", name)
    jobs = [new_release(tmp_path / str(number), name, served.connections, 2, "1") for number in range(SAME)]
    outcomes = at_once(jobs)
    assert {outcome.ended for outcome in outcomes} == {"done"}, outcomes
    now = live(served.remote, name)
    assert now
    all_hold(served, {name: ["1", now.version]})


def test_eight_first_runs_of_one_model_register_and_release_it_once(served: World, tmp_path: Path) -> None:
    jobs = [new_release(tmp_path / str(number), "newborn", served.connections, 1) for number in range(SAME)]
    outcomes = at_once(jobs)
    assert {outcome.ended for outcome in outcomes} == {"done"}, outcomes
    now = live(served.remote, "newborn")
    assert now
    all_hold(served, {"newborn": [now.version]})


def test_eight_versions_proposed_at_once_are_eight_branches_and_nothing_is_live_yet(
    served: World, tmp_path: Path
) -> None:
    name = "proposed"
    first(served, tmp_path / "first", name)
    before = bare_git(served.manifests, "rev-parse", "main")
    jobs = [
        new_release(tmp_path / str(weight), name, served.connections, weight, "1", "pull-request")
        for weight in range(2, 2 + SAME)
    ]
    for _ in range(2):
        outcomes = at_once(jobs)
        assert {outcome.ended for outcome in outcomes} == {"done"}, outcomes
    assert bare_git(served.manifests, "rev-parse", "main") == before
    versions = {one.version for one in registry(served.tracking_uri).versions(name)}
    assert {one.version for one in open_proposals(served.remote)} == versions - {"1"}
    all_hold(served, {name: ["1"]})
