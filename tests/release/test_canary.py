"""A canary: in git the live version stays live until the canary finishes, and each command is one commit or none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, candidate, fetch_champion, model_spec
from harness.registered import Place
from harness.servers import git_server

from components.champion.steps import fetch_comparison
from components.deploy.steps import deploy
from delivery.connections import Connections
from delivery.kserve.manifest import LiveModel
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.releases.canary import commit_canary, commit_takeover, commit_takeover_end
from delivery.releases.live import live, open_proposals
from delivery.releases.operations import promote
from delivery.releases.reconcile import reconcile
from delivery.releases.release import release
from delivery.releases.rollback import commit_canary_end, commit_rollback
from training.errors import GateRefused, InputError, OstinatoError
from training.spec import ModelSpec

__all__ = ["git_server"]

NAME = "bike-demand"
FILE = f"models/{NAME}/inferenceservice.yaml"
MODES = ("Standard", "Knative")


def spec_of(mode: str = "Standard", **serving: Any) -> ModelSpec:
    return model_spec(serving={"deployment_mode": mode, **serving})


def now(place: Place) -> LiveModel:
    found = live(place.remote, NAME)
    assert found
    return found


def content(place: Place, what: str = f"main:{FILE}") -> str:
    return bare_git(place.manifests, "show", what)


def start(place: Place, percent: int = 10, version: str | None = "2", spec: ModelSpec | None = None) -> Any:
    return commit_canary(spec or model_spec(), place.connections, percent, version)


def finish(place: Place, spec: ModelSpec | None = None) -> Any:
    """Both steps, as two calls of the command without a cluster."""
    commit_takeover(spec or model_spec(), place.connections)
    return commit_takeover_end(spec or model_spec(), place.connections)


@pytest.fixture(params=MODES)
def spec(request: pytest.FixtureRequest, place: Place) -> Iterator[ModelSpec]:
    """Version 1 is live in either deployment mode."""
    found = spec_of(request.param)
    release(found, place.connections, "1", "direct")
    reconcile(place.connections)
    yield found


def test_while_a_canary_runs_the_old_version_is_live_and_champion(
    place: Place, spec: ModelSpec, tmp_path: Path
) -> None:
    before = now(place)
    done = start(place, 10, "2", spec)
    assert (done.version, done.canary_percent, done.changed, done.branch) == ("2", 10, True, "main")
    found = now(place)
    assert (found.version, found.storage_uri, found.digest) == (before.version, before.storage_uri, before.digest)
    assert found.canary and (found.canary.version, found.canary.percent) == ("2", 10)
    two = registry(place.tracking_uri).version(NAME, "2")
    assert two and found.canary.digest == two.digest
    assert found.canary.storage_uri == registry(place.tracking_uri).storage_uri(NAME, "2")
    assert reconcile(place.connections) == []
    fetched = fetch_champion(NAME, place.remote, tmp_path / "champion")
    assert fetched and fetched.version == "1"


def test_a_canary_is_widened_and_the_same_command_again_changes_nothing(place: Place, spec: ModelSpec) -> None:
    start(place, 10, "2", spec)
    assert start(place, 10, "2", spec).changed is False
    wider = start(place, 50, None, spec)
    assert (wider.version, wider.canary_percent, wider.changed) == ("2", 50, True)
    assert place.commits() == 4
    subjects = bare_git(place.manifests, "log", "--format=%s", "-2", "main").splitlines()
    assert subjects == [f"Canary of {NAME} v2 with 50 %", f"Canary of {NAME} v2 with 10 %"]


def test_finish_makes_it_live_as_a_release_would_and_a_second_finish_changes_nothing(
    place: Place, spec: ModelSpec
) -> None:
    release(spec, place.connections, "2", "direct")
    as_released = content(place)
    commit_rollback(place.remote, NAME)
    start(place, 10, "2", spec)
    done = commit_takeover(spec, place.connections)
    assert (done.version, done.canary_percent, done.changed) == ("2", 0, True)
    commit_takeover_end(spec, place.connections)
    assert content(place) == as_released
    reconcile(place.connections)
    aliases = registry(place.tracking_uri).aliases(NAME)
    assert (aliases["champion"], aliases["previous"]) == ("2", "1")
    for step in (commit_takeover, commit_takeover_end):
        again = step(spec, place.connections)
        assert (again.changed, again.version, again.note) == (False, "2", "no canary runs; version 2 is live")


def test_the_version_takes_over_beside_its_canary_and_aliases_follow_when_that_is_gone(place: Place) -> None:
    spec = spec_of(scaling={"min_replicas": 4, "max_replicas": 4})
    release(spec, place.connections, "1", "direct")
    reconcile(place.connections)
    start(place, 60, "2", spec)
    assert commit_takeover(spec, place.connections).changed is True
    over = now(place)
    assert (over.version, over.previous_version, over.takes_over) == ("2", "1", True)
    assert "minReplicas: 7" in content(place), "KServe takes the canary's 3 pods off"
    assert commit_takeover(spec, place.connections).changed is False
    assert reconcile(place.connections) == []
    assert registry(place.tracking_uri).aliases(NAME)["champion"] == "1"
    with pytest.raises(InputError, match="version 2 of bike-demand is live already"):
        start(place, 80, None, spec)
    assert release(spec, place.connections, "2", "direct").changed is False, "a run again changes nothing"
    commit_takeover_end(spec, place.connections)
    assert "minReplicas: 4" in content(place) and now(place).canary is None
    reconcile(place.connections)
    assert registry(place.tracking_uri).aliases(NAME)["champion"] == "2"
    subjects = bare_git(place.manifests, "log", "--format=%s", "-3", "main").splitlines()
    assert subjects == [
        f"End the canary of {NAME} v2, which is live",
        f"Release {NAME} v2 beside its canary",
        f"Canary of {NAME} v2 with 60 %",
    ]


def test_a_canary_that_is_released_takes_over_as_well(place: Place) -> None:
    place.release("1")
    start(place, 10, "2")
    done = release(model_spec(), place.connections, "2", "direct")
    assert (done.canary_percent, now(place).takes_over) == (0, True)
    assert f"ostinato canary {NAME} --finish" in done.note


@pytest.mark.parametrize("how", ["abort", "rollback"])
def test_a_takeover_that_goes_wrong_is_taken_back_whole(place: Place, how: str) -> None:
    place.release("1")
    before = content(place)
    start(place, 10, "2")
    commit_takeover(model_spec(), place.connections)
    done = commit_canary_end(place.remote, NAME) if how == "abort" else commit_rollback(place.remote, NAME)
    assert (done.version, content(place)) == ("1", before)
    assert "Version 1 gets all requests again." in bare_git(place.manifests, "log", "-1", "--format=%b", "main")


def test_a_canary_that_comes_during_a_takeover_is_beside_the_version_that_took_over(place: Place) -> None:
    spec = spec_of(scaling={"min_replicas": 2, "max_replicas": 2})
    for version in ("1", "2"):
        release(spec, place.connections, version, "direct")
    released = content(place).partition("---\n")[2]
    commit_rollback(place.remote, NAME)
    start(place, 10, "2", spec)
    commit_takeover(spec, place.connections)
    start(place, 10, "3", spec)
    assert content(place).partition("---\n")[2].startswith(released)
    assert (now(place).version, now(place).takes_over) == ("2", False)
    with pytest.raises(OstinatoError, match="version 3 of bike-demand is live no more"):
        commit_takeover_end(spec, place.connections)


@pytest.mark.parametrize("how", ["abort", "rollback"])
def test_abort_and_rollback_end_the_canary_and_nothing_else(place: Place, spec: ModelSpec, how: str) -> None:
    before = content(place)
    start(place, 10, "2", spec)
    start(place, 40, "2", spec)
    done = commit_canary_end(place.remote, NAME) if how == "abort" else commit_rollback(place.remote, NAME)
    assert (done.version, done.changed) == ("1", True)
    found = now(place)
    assert (found.version, found.canary) == ("1", None)
    if spec.serving.deployment_mode == "Standard":
        assert content(place) == before
    else:
        assert content(place).replace("    canaryTrafficPercent: 0\n", "") == before
    again = commit_canary_end(place.remote, NAME)
    assert (again.changed, again.note) == (False, "no canary runs; version 1 is live")


def test_the_live_part_of_the_file_is_untouched_by_a_canary(place: Place) -> None:
    """Also when the spec says something else by now: that comes with the canary, not to the live pods."""
    place.release("1")
    kept = content(place).partition("---\n")[2]
    start(place, 10, "2", spec_of(resources={"memory": "4Gi"}, timeout_s=30))
    assert content(place).partition("---\n")[2].startswith(kept)
    canary = content(place).partition("canary:")[2]
    assert "memory: 4Gi" in canary and "timeout: 30" in canary and "name: v2" in canary and "maxReplicas" not in canary


def test_after_an_abort_in_knative_a_release_takes_the_mark_away_and_a_rollback_goes_past_it(place: Place) -> None:
    knative = spec_of("Knative")
    for version in ("1", "2"):
        release(knative, place.connections, version, "direct")
    start(place, 10, "3", knative)
    commit_canary_end(place.remote, NAME)
    assert "canaryTrafficPercent: 0" in content(place)
    assert release(knative, place.connections, "2", "direct").changed is False, "2 is live already"
    assert commit_rollback(place.remote, NAME).version == "1"
    assert "canaryTrafficPercent" not in content(place)


def test_rollback_after_finish_brings_back_the_version_before_and_not_the_canary(place: Place, spec: ModelSpec) -> None:
    before = content(place)
    start(place, 10, "2", spec)
    start(place, 60, "2", spec)
    finish(place, spec)
    done = commit_rollback(place.remote, NAME)
    assert (done.version, now(place).canary, content(place)) == ("1", None, before)


def test_a_second_release_takes_the_canary_s_place(place: Place, spec: ModelSpec) -> None:
    start(place, 10, "2", spec)
    start(place, 20, "3", spec)
    found = now(place)
    assert found.canary and (found.version, found.canary.version, found.canary.percent) == ("1", "3", 20)
    done = release(spec, place.connections, "2", "direct")
    found = now(place)
    assert (done.canary_percent, found.version, found.previous_version, found.canary) == (0, "2", "1", None)


def test_a_spec_with_a_canary_starts_every_release_as_one_but_the_first(place: Place) -> None:
    spec = spec_of(canary={"percent": 5})
    first = promote(spec, place.connections, "1").result
    assert (first.canary_percent, first.changed) == (0, True)
    assert first.note == "a first release gets all requests: there is nothing to be a canary beside"
    second = promote(spec, place.connections, "2").result
    assert (second.canary_percent, second.changed, now(place).version) == (5, True, "1")
    start(place, 50, None, spec)
    again = promote(spec, place.connections, "2").result
    assert (again.canary_percent, again.changed) == (50, False), "a canary that was widened is not narrowed"
    assert promote(spec, place.connections, "1").result.changed is False, "1 is live, and the canary stays"
    assert now(place).canary is not None
    finish(place, spec)
    assert (now(place).version, now(place).canary) == ("2", None)


def test_the_deploy_step_leaves_the_champion_as_it_is_and_a_rerun_gets_the_same_comparison(
    place: Place, tmp_path: Path
) -> None:
    spec = spec_of(canary={"percent": 5})
    release(spec, place.connections, "1", "direct")
    files = candidate(tmp_path / "two", 2, champion="1")
    for _ in range(2):
        done = deploy(spec.canonical_json(), place.connections, "2", "direct", "c0de", "run-2", files.verdict)
        assert (done.version, done.canary_percent) == ("2", 5)
        assert registry(place.tracking_uri).aliases(NAME)["champion"] == "1"
        comparison = fetch_comparison(NAME, place.connections, files.model, tmp_path / f"comparison-{_}")
        assert comparison and comparison.version == "1"
    assert place.commits() == 3


def test_a_canary_waits_for_a_reviewer_where_releases_do(place: Place) -> None:
    spec = model_spec(release={"mode": "pull-request"})
    place.release("1")
    proposed = start(place, 10, "2", spec)
    assert (proposed.branch, start(place, 10, "2", spec).changed) == (f"release/{NAME}/v2", False)
    assert now(place).canary is None
    place.merge(proposed.branch)
    assert now(place).canary is not None and open_proposals(place.remote) == []
    step = commit_takeover(spec, place.connections)
    assert (step.branch, step.changed, now(place).version) == (proposed.branch, True, "1")
    assert commit_takeover(spec, place.connections).changed is False
    place.merge(step.branch)
    assert (now(place).version, now(place).previous_version, now(place).takes_over) == ("2", "1", True)
    last = commit_takeover_end(spec, place.connections)
    assert (last.branch, last.changed, now(place).takes_over) == (proposed.branch, True, True)
    assert commit_takeover_end(spec, place.connections).changed is False
    place.merge(last.branch)
    assert (now(place).version, now(place).canary, open_proposals(place.remote)) == ("2", None, [])


def test_the_verdict_counts_for_a_canary_as_for_a_release(place: Place) -> None:
    place.release("1")
    client = mlflow_client(place.tracking_uri)
    client.set_model_version_tag(NAME, "2", "ostinato.verdict", "reject")
    with pytest.raises(GateRefused, match="only a pass goes live"):
        start(place, 10, "2")
    place.register_copy("3")
    with pytest.raises(InputError, match="version 4 of bike-demand is a copy of version 3"):
        start(place, 10, "4")
    start(place, 10, "3")
    client.set_model_version_tag(NAME, "3", "ostinato.model_digest", "sha256:other")
    with pytest.raises(OstinatoError, match="but the registry has it with sha256:other"):
        commit_takeover(model_spec(), place.connections)
    assert now(place).version == "1"


@pytest.mark.parametrize(
    ("serving", "percent", "version", "said"),
    [
        ({}, 0, "2", "1 to 99 percent; all requests are --finish, none --abort"),
        ({}, 100, "2", "1 to 99 percent"),
        ({}, 10, "1", "version 1 of bike-demand is live already"),
        ({}, 10, "9", "has no version 9 in the registry"),
        ({"kserve": "0.19"}, 10, "2", "KServe 0.19 ignores it in deployment_mode: Standard"),
        ({"scaling": {"min_replicas": 1, "max_replicas": 3}}, 10, "2", "it needs a fixed number of replicas"),
        ({"deployment_mode": "Knative"}, 10, "2", "is live in Standard; KServe fixes it"),
        (
            {"resources": {"accelerator": {"type": "nvidia.com/gpu"}}},
            10,
            "2",
            "its pods need accelerators beside those of the live version",
        ),
    ],
)
def test_what_the_cluster_would_not_do_is_refused_and_nothing_is_committed(
    place: Place, serving: dict[str, Any], percent: int, version: str, said: str
) -> None:
    place.release("1")
    with pytest.raises(InputError) as caught:
        start(place, percent, version, model_spec(serving=serving))
    assert said in str(caught.value)
    assert place.commits() == 2


def test_what_is_not_live_has_no_canary(place: Place) -> None:
    with pytest.raises(InputError, match="ostinato promote bike-demand"):
        start(place)
    with pytest.raises(InputError, match="is not live, so no canary runs"):
        commit_takeover(model_spec(), place.connections)
    with pytest.raises(InputError, match="is not live"):
        commit_canary_end(place.remote, NAME)


def test_a_name_that_is_too_long_for_a_canary_s_service_is_named(place: Place) -> None:
    long = model_spec("a" * 46, registry=NAME)
    release(long, place.connections, "1", "direct")
    with pytest.raises(InputError, match="1 characters longer than Kubernetes allows"):
        commit_canary(long, place.connections, 10, "2")


def test_a_canary_that_someone_aborted_meanwhile_does_not_go_live(place: Place) -> None:
    from delivery.releases.release import ReleaseRequest, propose_or_commit, releasable

    place.release("1")
    start(place, 10, "2")
    found, uri = releasable(model_spec(), place.connections, "2")
    commit_canary_end(place.remote, NAME)
    with pytest.raises(OstinatoError, match="is the canary no more: another commit came between"):
        request = ReleaseRequest(found, uri, percent=0, takeover="start")
        propose_or_commit(model_spec(), place.connections, request, "direct", {})
    assert now(place).version == "1"


def test_a_canary_over_http_is_the_same(place: Place, git_server: Any) -> None:
    remote = git_server.url_of(place.manifests)
    place.release("1")
    before = content(place)
    commit_canary(model_spec(), Connections(place.tracking_uri, remote), 10, "2")
    found = live(remote, NAME)
    assert found and found.canary and found.canary.version == "2"
    commit_rollback(remote, NAME)
    assert content(place) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trafficPercent: 10", "trafficPercent: 100", "the canary's percent is 100"),
        ("trafficPercent: 10", "trafficPercent: ten", "the canary's percent is 'ten'"),
        ("canary-version: '2'", "canary-version: two", "canary-version is 'two', no version number"),
        ("ostinato.dev/canary-digest", "ostinato.dev/canary-dgst", "canary-digest is None"),
    ],
)
def test_a_canary_that_was_edited_by_hand_into_something_unusable_is_named(
    place: Place, old: str, new: str, said: str
) -> None:
    place.release("1")
    before = content(place)
    start(place, 10, "2")
    place.commit(FILE, content(place).replace(old, new).encode())
    with pytest.raises(InputError) as caught:
        live(place.remote, NAME)
    assert said in str(caught.value)
    commit_rollback(place.remote, NAME)
    assert content(place) == before
