"""What the end of a canary waits for: the cluster, as an API server that replays recordings says it."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.api_servers import ApiServerStandIn, recorded
from harness.candidates import model_spec
from harness.registered import Place

from delivery.kserve.api_server import ApiServer
from delivery.kserve.documents import Document
from delivery.registry.lookup import registry
from delivery.releases.canary import commit_canary
from delivery.releases.live import live
from delivery.releases.operations import finish_canary
from delivery.releases.reconcile import reconcile
from delivery.releases.release import release
from delivery.releases.roll_out import wait_for_roll_out
from delivery.retry import RetryPolicy
from training.errors import OstinatoError

NAME = "bike-demand"
SPEC = model_spec()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServerStandIn]:
    with ApiServerStandIn() as stand_in:
        monkeypatch.setenv("KUBECONFIG", str(stand_in.kubeconfig(tmp_path)))
        yield stand_in


@pytest.fixture
def canary(place: Place) -> Place:
    """Version 2 is the canary beside version 1."""
    release(SPEC, place.connections, "1", "direct")
    reconcile(place.connections)
    commit_canary(SPEC, place.connections, 10, "2")
    return place


def service(state: str, version: str = "2", written: str = "") -> Document:
    """A recording as if of this model. written: when Argo CD wrote the version, by the API server's own note."""
    found = copy.deepcopy(recorded(state))
    found["metadata"] |= {"name": NAME, "namespace": "models"}
    found["metadata"]["annotations"]["ostinato.dev/model-version"] = version
    if written:
        fields = {"f:metadata": {"f:annotations": {"f:ostinato.dev/model-version": {}}}}
        status = {"manager": "manager", "subresource": "status", "time": "2026-12-02T00:00:00Z", "fieldsV1": {}}
        entry = {"manager": "argocd-controller", "operation": "Apply", "time": written, "fieldsV1": fields}
        found["metadata"]["managedFields"] = [status, entry]
    return found


class Cluster:
    """A stand-in for time: each pause brings the next state."""

    def __init__(self, server: ApiServerStandIn, *states: Document) -> None:
        self.server, self.states, self.sentences = server, list(states), list[str]()
        self.next(0)

    def next(self, _: float) -> None:
        if self.states:
            self.server.objects = [self.states.pop(0)]

    def finish(self, place: Place, attempts: int = 9) -> Any:
        policy = RetryPolicy(attempts=attempts, sleep=self.next)

        def wait() -> str:
            return wait_for_roll_out(place.remote, NAME, ApiServer, policy, self.sentences.append)

        return finish_canary(SPEC, place.connections, wait=wait)


def state(place: Place) -> tuple[str, bool, str]:
    running = live(place.remote, NAME)
    assert running
    return running.version, running.canary is not None, registry(place.tracking_uri).aliases(NAME)["champion"]


def test_the_canary_goes_when_the_cluster_says_that_the_version_is_rolled_out(
    canary: Place, server: ApiServerStandIn
) -> None:
    cluster = Cluster(
        server,
        service("canary-healthy", version="1"),
        service("canary-healthy", written="2026-12-01T08:35:29Z"),
        service("new-version-loading-behind-a-serving-pod"),
        service("canary-healthy", written="2026-12-01T08:35:28Z"),
    )
    commits = canary.commits()
    outcome = cluster.finish(canary)
    assert (outcome.result.version, outcome.result.changed, outcome.result.note) == ("2", True, "")
    assert [change.after for change in outcome.aliases] == ["2", "1"]
    assert (state(canary), canary.commits()) == (("2", False, "2"), commits + 2)
    assert cluster.sentences == [
        f"{NAME}: Argo CD has not applied version 2 yet.",
        f"{NAME}: KServe has not looked at it yet.",
        f"{NAME}: The new version is rolling out, the one before serves.",
        f"{NAME}: The model is loaded and serves.",
    ]


def test_a_version_that_does_not_become_ready_leaves_its_canary_and_the_next_call_goes_on(
    canary: Place, server: ApiServerStandIn
) -> None:
    cluster = Cluster(server, service("image-pull-failing-behind-a-serving-pod-after-the-deadline"))
    for _ in range(2):
        with pytest.raises(OstinatoError, match="version 2 of bike-demand is not ready, so its canary stays: The new"):
            cluster.finish(canary)
        assert state(canary) == ("2", True, "1")
    cluster.states = [service("canary-healthy")]
    cluster.next(0)
    cluster.finish(canary)
    assert state(canary) == ("2", False, "2")


def test_waiting_comes_to_an_end(canary: Place, server: ApiServerStandIn) -> None:
    with pytest.raises(OstinatoError, match=r"its canary stays: .* rolling out.*bike-demand --finish` goes on"):
        Cluster(server, service("new-version-loading-behind-a-serving-pod")).finish(canary, attempts=3)
    assert state(canary) == ("2", True, "1")


@pytest.mark.parametrize(
    ("refuses", "why"),
    [(0, "the cluster of the kubeconfig has no bike-demand in namespace models"), (403, "you need the verb list on")],
)
def test_where_the_cluster_can_not_tell_a_second_call_takes_the_canary_away(
    canary: Place, server: ApiServerStandIn, refuses: int, why: str
) -> None:
    server.refuses = refuses
    cluster = Cluster(server)
    note = cluster.finish(canary).result.note
    assert why in note and "type: ostinato canary bike-demand --finish" in note
    assert state(canary) == ("2", True, "1")
    cluster.finish(canary)
    assert state(canary) == ("2", False, "2")


def test_where_releases_are_proposed_each_step_is_a_proposal(canary: Place, server: ApiServerStandIn) -> None:
    spec = model_spec(release={"mode": "pull-request"})
    branch = f"release/{NAME}/v2"
    waited: list[str] = []

    def wait() -> str:
        waited.append("asked")
        return ""

    first = finish_canary(spec, canary.connections, wait=wait).result
    assert (first.branch, first.changed, waited) == (branch, True, []), "nothing is rolled out before the merge"
    assert "Once that is merged and version 2 has rolled out" in first.note
    canary.merge(branch)
    second = finish_canary(spec, canary.connections, wait=wait).result
    assert (second.branch, second.changed, waited) == (branch, True, ["asked"])
    assert state(canary) == ("2", True, "1")
    canary.merge(branch)
    assert [change.after for change in finish_canary(spec, canary.connections, wait=wait).aliases] == ["2", "1"]
    assert state(canary) == ("2", False, "2")


def test_knative_goes_on_with_the_canarys_revision_and_needs_no_second_step(place: Place) -> None:
    spec = model_spec(serving={"deployment_mode": "Knative"})
    release(spec, place.connections, "1", "direct")
    commit_canary(spec, place.connections, 10, "2")
    commits = place.commits()
    assert finish_canary(spec, place.connections).result.note == ""
    assert (state(place), place.commits()) == (("2", False, "2"), commits + 1)
