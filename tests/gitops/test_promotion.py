"""Staging follows every release; production gets the very bytes that staging ran, by one commit."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from typing import Any

import pytest
import yaml
from gitops.production import FILE, NAME, PRODUCTION, STAGING, blob
from harness.candidates import bare_git, model_spec
from harness.manifest_tree import only
from harness.registered import Place

from delivery.effects import CRASH_AT
from delivery.releases.environments import commit_promotion, in_production
from delivery.releases.live import live
from delivery.releases.release import release
from training.errors import InputError, OstinatoError

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0


def changed(place: Place, commit: str = "main") -> list[str]:
    return bare_git(place.manifests, "diff", "--name-only", f"{commit}~1", commit).splitlines()


def test_the_first_release_brings_the_kustomizations_in_its_commit_and_the_second_only_the_manifest(
    place: Place,
) -> None:
    place.release("1")
    assert changed(place) == [STAGING, FILE, f"models/{NAME}/kustomization.yaml"]
    place.release("2")
    assert changed(place) == [FILE]


def test_a_proposed_first_release_brings_them_too(place: Place) -> None:
    proposal = place.release("1", mode="pull-request")
    assert changed(place, proposal.branch) == [STAGING, FILE, f"models/{NAME}/kustomization.yaml"]


def test_what_people_make_of_the_kustomizations_is_kept(place: Place) -> None:
    place.release("1")
    place.commit(f"models/{NAME}/kustomization.yaml", b"resources: [inferenceservice.yaml]\n")
    place.commit(STAGING, b"resources: [../../../models/bike-demand]\nnamespace: elsewhere\n")
    before = blob(place, STAGING)
    place.release("2")
    assert changed(place) == [FILE] and blob(place, STAGING) == before


def test_a_repository_from_before_gets_the_kustomizations_with_its_next_release(place: Place) -> None:
    place.release("1")
    place.git("rm", "--quiet", STAGING, f"models/{NAME}/kustomization.yaml")
    place.release("2")
    assert changed(place) == [STAGING, FILE, f"models/{NAME}/kustomization.yaml"]


def test_a_staging_that_was_removed_stays_removed(place: Place) -> None:
    place.release("1")
    place.git("rm", "--quiet", STAGING)
    place.release("2")
    assert changed(place) == [FILE]


def test_a_staging_that_people_prepared_is_kept_by_the_first_release(place: Place) -> None:
    place.release("1")
    place.commit(STAGING, b"resources: [../../../models/bike-demand]\nnamespace: elsewhere\n")
    prepared = blob(place, STAGING)
    place.git("rm", "--quiet", FILE, f"models/{NAME}/kustomization.yaml")
    place.release("2")
    assert changed(place) == [FILE, f"models/{NAME}/kustomization.yaml"] and blob(place, STAGING) == prepared


def test_production_gets_the_bytes_of_staging_in_one_commit_with_trailers(place: Place) -> None:
    place.release("1")
    done = commit_promotion(place.remote, NAME)
    assert (done.version, done.environment, done.changed) == ("1", "production", True)
    assert changed(place) == [f"{PRODUCTION}/inferenceservice.yaml", f"{PRODUCTION}/kustomization.yaml"]
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == blob(place, FILE)
    now = live(place.remote, NAME)
    assert now
    assert bare_git(place.manifests, "log", "-1", "--format=%B", "main").splitlines() == [
        "Promote bike-demand v1 to production",
        "",
        "Ostinato-Model: bike-demand",
        "Ostinato-Version: 1",
        "Ostinato-Environment: production",
        f"Ostinato-Verdict: {now.verdict_digest}",
    ]


def test_a_second_promotion_of_the_same_release_changes_nothing(place: Place) -> None:
    place.release("1")
    done = commit_promotion(place.remote, NAME)
    again = commit_promotion(place.remote, NAME)
    assert (again.changed, again.commit, again.version) == (False, done.commit, "1")
    assert place.commits() == 3


def test_production_stays_where_it_is_until_the_next_promotion(place: Place) -> None:
    place.release("1")
    commit_promotion(place.remote, NAME)
    first = blob(place, f"{PRODUCTION}/inferenceservice.yaml")
    place.release("2")
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == first
    place.commit(f"{PRODUCTION}/kustomization.yaml", b"resources: [inferenceservice.yaml]\n# ours\n")
    assert commit_promotion(place.remote, NAME).version == "2"
    assert changed(place) == [f"{PRODUCTION}/inferenceservice.yaml"]


def test_git_revert_of_a_promotion_brings_the_bytes_before_back(place: Place) -> None:
    place.release("1")
    commit_promotion(place.remote, NAME)
    first = blob(place, f"{PRODUCTION}/inferenceservice.yaml")
    place.release("2")
    promotion = commit_promotion(place.remote, NAME)
    place.git("revert", "--no-edit", promotion.commit)
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == first
    assert commit_promotion(place.remote, NAME).version == "2", "and it can be promoted again"


def test_what_is_not_released_is_not_promoted(place: Place) -> None:
    with pytest.raises(InputError, match="is not live, so there is nothing to promote; see `ostinato status`"):
        commit_promotion(place.remote, NAME)
    assert place.commits() == 1


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_a_running_canary_is_not_promoted(place: Place, mode: str) -> None:
    place.release("1")
    documents = list(yaml.safe_load_all(bare_git(place.manifests, "show", f"main:{FILE}")))
    service = only(documents, "InferenceService")
    predictor, annotations = service["spec"]["predictor"], service["metadata"]["annotations"]
    facts = {"canary-version": "2"}
    for fact in ("digest", "data-fingerprint", "verdict-digest", "code-version", "spec-digest"):
        facts[f"canary-{fact}"] = "sha256:" + "2" * 64
    of_canary = {**predictor, "annotations": {f"ostinato.dev/{fact}": value for fact, value in facts.items()}}
    if mode == "Standard":
        service["spec"]["canary"] = [{"trafficPercent": 10, "predictor": of_canary}]
    else:
        annotations["ostinato.dev/stable-storage-uri"] = predictor["model"]["storageUri"]
        service["spec"]["predictor"] = {**of_canary, "canaryTrafficPercent": 10}
    place.commit(FILE, yaml.safe_dump_all(documents).encode())
    before = place.commits()
    with pytest.raises(InputError, match=r"version 2 of bike-demand is a canary.*ostinato canary bike-demand --finish"):
        commit_promotion(place.remote, NAME)
    assert place.commits() == before


def test_a_broken_manifest_is_not_promoted(place: Place) -> None:
    place.release("1")
    place.commit(FILE, b"kind: [broken")
    with pytest.raises(InputError, match="is not YAML"):
        commit_promotion(place.remote, NAME)


def _promote(place: Place, crash_at: str) -> None:
    os.environ[CRASH_AT] = crash_at
    commit_promotion(place.remote, NAME)


@pytest.mark.parametrize("crash_at", ["commit written", "commit pushed"])
def test_a_kill_leaves_a_state_from_which_the_same_command_finishes(crash_at: str, place: Place) -> None:
    place.release("1")
    victim = FORK.Process(target=_promote, args=(place, crash_at))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL
    assert commit_promotion(place.remote, NAME).version == "1"
    assert place.commits() == 3
    assert blob(place, f"{PRODUCTION}/inferenceservice.yaml") == blob(place, FILE)


def test_another_release_of_the_model_while_promoting_stops_it_and_of_another_model_does_not(place: Place) -> None:
    first = place.release("1").commit
    second = place.release("2").commit
    bare_git(place.manifests, "update-ref", "refs/heads/main", first)
    place.move_during_a_push(second)
    with pytest.raises(OstinatoError, match="another release of bike-demand landed while promoting"):
        commit_promotion(place.remote, NAME)
    assert bare_git(place.manifests, "rev-parse", "main") == second

    spec = model_spec("other-model", registry=NAME)
    other = release(spec, place.connections, "1", "direct").commit
    bare_git(place.manifests, "update-ref", "refs/heads/main", second)
    place.move_during_a_push(other)
    done = commit_promotion(place.remote, NAME)
    assert done.changed and bare_git(place.manifests, "rev-parse", "main~1") == other


def test_over_http_a_push_whose_answer_is_lost_lands_once(place: Place, git_server: Any) -> None:
    over_http = replace(place, remote=git_server.url_of(place.manifests))
    over_http.release("1")
    git_server.drop_pushes = 1
    assert commit_promotion(over_http.remote, NAME).version == "1"
    assert (git_server.drop_pushes, place.commits()) == (0, 3)


@pytest.fixture
def live_forecaster(place: Place) -> Place:
    """The demand forecaster of the checkout is released in the repository."""
    spec = model_spec("demand-forecaster", registry=NAME)
    release(spec, place.connections, "1", "direct")
    return place


def test_the_command_promotes_moves_the_aliases_and_says_so(live_forecaster: Place, ostinato: Any) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": live_forecaster.remote, "OSTINATO_TRACKING_URI": live_forecaster.tracking_uri}
    command = ("promote", "demand-forecaster", "--from", "staging", "--to", "production")
    first = ostinato(*command, expect=0, **where)
    commit = bare_git(live_forecaster.manifests, "rev-parse", "main")
    assert first.out.splitlines() == [
        f"demand-forecaster: version 1 is in production (commit {commit[:12]})",
        *(f"{NAME}@{alias}: none -> 1" for alias in ("champion", "champion-staging", "champion-production")),
    ]
    again = ostinato(*command, expect=0, **where)
    assert again.out == f"demand-forecaster: version 1 is in production already (commit {commit[:12]})\n"
    told = json.loads(ostinato(*command, "--json", expect=0, **where).out)
    assert told == {
        "model": "demand-forecaster",
        "version": "1",
        "environment": "production",
        "branch": "main",
        "commit": commit,
        "changed": False,
        "pull_request": "",
        "note": "",
        "aliases": [],
    }


def test_a_promotion_can_be_proposed_and_production_rolled_back_without_the_registry(
    live_forecaster: Place, ostinato: Any
) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": live_forecaster.remote}
    away = {**where, "OSTINATO_TRACKING_URI": "http://127.0.0.1:9"}
    command = ("promote", "demand-forecaster", "--to", "production")
    told = ostinato(*command, "--release", "pull-request", expect=0, **away)
    assert "version 1 for production is on promote/demand-forecaster/production-v1 (commit" in told.out
    assert "git merge --no-ff origin/promote/demand-forecaster/production-v1" in told.out, "there is no forge"
    assert "the promotion is done, and the registry's aliases follow later, with: ostinato reconcile" in told.err
    ostinato(*command, expect=0, **where)
    spec = model_spec("demand-forecaster", registry=NAME)
    release(spec, live_forecaster.connections, "2", "direct")
    ostinato(*command, expect=0, **where)
    back = ostinato("rollback", "demand-forecaster", "--in", "production", expect=0, **away)
    assert "version 1 is on main" in back.out and "aliases follow later" in back.err
    assert in_production(live_forecaster.remote, "demand-forecaster") == "1"


def test_status_says_what_production_runs_and_that_it_is_behind(live_forecaster: Place, ostinato: Any) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": live_forecaster.remote}
    assert json.loads(ostinato("status", "demand-forecaster", "--json", expect=0, **where).out)[0]["production"] == ""
    ostinato("promote", "demand-forecaster", "--to", "production", expect=0, **where)
    line = "demand-forecaster: version 1 is in production"
    assert f"{line}\n" in ostinato("status", "demand-forecaster", expect=0, **where).out
    spec = model_spec("demand-forecaster", registry=NAME)
    release(spec, live_forecaster.connections, "2", "direct")
    told = ostinato("status", "demand-forecaster", expect=0, **where).out
    assert f"{line}; ostinato promote demand-forecaster --to production" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "production", "--version", "1"), "leave out --version and --skip"),
        (("--to", "production", "--from", "production"), "--from is 'production'; give staging"),
        (("--from", "staging"), "--from staging goes with --to production"),
        (("--to", "prod"), "--to is 'prod'; give production"),
        (("--to", "staging"), "staging follows every release by itself"),
    ],
)
def test_the_command_refuses_what_it_can_not_do(
    live_forecaster: Place, ostinato: Any, options: tuple[str, ...], words: str
) -> None:
    done = ostinato(
        "promote", "demand-forecaster", *options, expect=2, OSTINATO_MANIFESTS_REMOTE=live_forecaster.remote
    )
    assert words in done.err
    assert live_forecaster.commits() == 2
