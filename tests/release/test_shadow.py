"""A shadow: a second service and a mirror beside the live one, in the same file, and nothing that callers notice."""

from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, model_spec
from harness.registered import Place

from delivery.kserve.documents import from_bytes
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.releases.canary import commit_canary, commit_takeover, commit_takeover_end
from delivery.releases.live import live
from delivery.releases.reconcile import reconcile
from delivery.releases.release import release
from delivery.releases.rollback import commit_canary_end, commit_rollback
from delivery.releases.shadow import commit_shadow, commit_shadow_end
from training.errors import GateRefused, InputError

NAME = "bike-demand"
FILE = f"models/{NAME}/inferenceservice.yaml"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
SPEC = model_spec(serving={"gateway": GATEWAY})


def content(place: Place) -> str:
    return bare_git(place.manifests, "show", f"main:{FILE}")


def put(place: Place, version: str, spec: Any = SPEC) -> Any:
    return release(spec, place.connections, version, "direct")


def shadow_of(place: Place) -> str:
    found = live(place.remote, NAME)
    assert found
    return found.shadow.version if found.shadow else ""


def test_a_shadow_comes_and_goes_and_the_live_version_stays_as_it_is(place: Place) -> None:
    put(place, "1")
    before = content(place)
    done = commit_shadow(SPEC, place.connections, "2")
    assert (done.version, done.changed) == ("2", True)
    assert content(place).startswith(before), "nothing of the live one's documents has changed"
    found = live(place.remote, NAME)
    assert found and found.shadow and (found.version, found.shadow.version, found.shadow.percent) == ("1", "2", 0)
    assert found.shadow.storage_uri == registry(place.tracking_uri).storage_uri(NAME, "2")
    assert commit_shadow(SPEC, place.connections, "2").changed is False
    reconcile(place.connections)
    assert registry(place.tracking_uri).aliases(NAME)["champion"] == "1"
    assert commit_shadow_end(place.remote, NAME).changed is True
    assert content(place) == before
    again = commit_shadow_end(place.remote, NAME)
    assert (again.changed, again.note) == (False, "no shadow runs")
    subjects = bare_git(place.manifests, "log", "--format=%s", "-2", "main").splitlines()
    assert subjects == [f"End the shadow of {NAME}", f"Shadow of {NAME} v2"]


def test_requests_are_mirrored_to_a_server_that_answers_to_their_name(place: Place) -> None:
    from delivery.serving.server.server import arguments

    put(place, "1")
    commit_shadow(SPEC, place.connections, "2")
    _, _, shadow, route = from_bytes(content(place).encode())
    (rule,) = route["spec"]["rules"]
    (match,) = rule["matches"]
    assert match["path"] == {"type": "Exact", "value": f"/v2/models/{NAME}/infer"}
    mirror = rule["filters"][1]["requestMirror"]["backendRef"]
    assert (mirror["name"], mirror["port"]) == (f"{shadow['metadata']['name']}-predictor", 80)
    # As KServe's own route has them (httproute_reconciler.go at aaac4e29).
    headers = rule["filters"][0]["requestHeaderModifier"]["set"]
    assert {header["name"] for header in headers} == {"KServe-Isvc-Name", "KServe-Isvc-Namespace"}
    assert {header["value"] for header in headers} == {NAME, "models"} and rule["timeouts"] == {"request": "60s"}
    assert [(one["name"], one["weight"]) for one in rule["backendRefs"]] == [(f"{NAME}-predictor", 1)]
    assert route["metadata"]["name"] not in (NAME, shadow["metadata"]["name"]), "KServe makes routes of those names"
    # The runtime's own arguments come first: manifests/runtimes/ostinato-mlflow.yaml.
    given = ["--model_dir=/mnt/models", f"--model_name={shadow['metadata']['name']}"]
    served = arguments().parse_args([*given, *shadow["spec"]["predictor"]["model"]["args"]])
    assert served.model_name == NAME


def test_a_shadow_is_one_small_service_whatever_scales_the_live_one(place: Place) -> None:
    trigger = {"address": "http://prometheus", "query": "q", "target": 5}
    scaling = {"min_replicas": 0, "max_replicas": 9, "autoscaler": "keda", "prometheus": trigger}
    spec = model_spec(serving={"gateway": GATEWAY, "scaling": scaling})
    put(place, "1", spec)
    commit_shadow(spec, place.connections, "2")
    _, _, shadow, _ = from_bytes(content(place).encode())
    assert "serving.kserve.io/autoscalerClass" not in shadow["metadata"]["annotations"]
    predictor = shadow["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"], "autoScaling" in predictor) == (1, 1, False)


def test_a_release_of_another_version_keeps_the_shadow_and_one_of_its_own_ends_it(place: Place) -> None:
    put(place, "1")
    commit_shadow(SPEC, place.connections, "3")
    put(place, "2")
    assert shadow_of(place) == "3"
    assert put(place, "2").changed is False
    put(place, "3")
    assert shadow_of(place) == "" and "HTTPRoute" not in content(place)


def test_another_version_takes_the_shadow_s_place(place: Place) -> None:
    put(place, "1")
    commit_shadow(SPEC, place.connections, "2")
    commit_shadow(SPEC, place.connections, "3")
    assert shadow_of(place) == "3" and content(place).count("kind: HTTPRoute") == 1


def test_a_rollback_goes_past_the_shadow_and_takes_it_away(place: Place) -> None:
    put(place, "1")
    before = content(place)
    put(place, "2")
    commit_shadow(SPEC, place.connections, "3")
    assert commit_rollback(place.remote, NAME).version == "1"
    assert content(place) == before


def test_there_is_one_trial_at_a_time(place: Place) -> None:
    put(place, "1")
    commit_shadow(SPEC, place.connections, "2")
    commit_canary(SPEC, place.connections, 10, "3")
    assert shadow_of(place) == ""
    with pytest.raises(InputError, match=r"has a canary, version 3.*--finish or --abort"):
        commit_shadow(SPEC, place.connections, "2")
    commit_canary_end(place.remote, NAME)
    commit_canary(SPEC, place.connections, 10, "3")
    commit_takeover(SPEC, place.connections)
    with pytest.raises(InputError, match=r"has a canary, version 3.*--finish or --abort"):
        commit_shadow(SPEC, place.connections, "2")
    commit_takeover_end(SPEC, place.connections)
    assert commit_shadow(SPEC, place.connections, "2").changed is True


@pytest.mark.parametrize(
    ("serving", "version", "said"),
    [
        ({}, "2", "serving.gateway: {name: …, namespace: …, hostname: …}"),
        ({"gateway": GATEWAY, "deployment_mode": "Knative"}, "2", "Knative, which routes by host name"),
        (
            {"gateway": GATEWAY, "runtime": "kserve-mlserver"},
            "2",
            "only ostinato-mlflow and kserve-sklearnserver can be told",
        ),
        ({"gateway": GATEWAY}, "1", "version 1 of bike-demand is live already"),
        ({"gateway": GATEWAY}, "8", "has no version 8"),
    ],
)
def test_what_can_not_be_mirrored_is_refused_with_the_fix(
    place: Place, serving: dict[str, Any], version: str, said: str
) -> None:
    put(place, "1")
    with pytest.raises(InputError) as caught:
        commit_shadow(model_spec(serving=serving), place.connections, version)
    assert said in str(caught.value)
    assert place.commits() == 2


def test_a_model_that_is_not_live_has_no_shadow(place: Place) -> None:
    with pytest.raises(InputError, match="is not live, so it has no requests to mirror"):
        commit_shadow(SPEC, place.connections, "2")
    with pytest.raises(InputError, match="is not live"):
        commit_shadow_end(place.remote, NAME)


def test_a_version_without_a_passing_verdict_is_no_shadow(place: Place) -> None:
    put(place, "1")
    mlflow_client(place.tracking_uri).set_model_version_tag(NAME, "2", "ostinato.verdict", "reject")
    with pytest.raises(GateRefused, match="only a pass goes live"):
        commit_shadow(SPEC, place.connections, "2")


def test_the_runtime_takes_its_name_by_argument_and_no_probe_asks_for_the_services_name() -> None:
    """A shadow's server answers to the live model's name only, so a probe with the service's own would never pass."""
    import yaml

    root = Path(__file__).parents[2]
    runtime = yaml.safe_load((root / "manifests" / "runtimes" / "ostinato-mlflow.yaml").read_text())
    (container,) = runtime["spec"]["containers"]
    assert "--model_name={{.Name}}" in container["args"]
    probes = [container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert not [path for path in probes if "{{" in path]
