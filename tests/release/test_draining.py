"""Every rendered pod goes on serving while it is taken out of the routes, and lives as long as its longest request."""

from typing import Any

import pytest
from harness.candidates import bare_git, language_spec, model_spec
from harness.registered import Place, served

from delivery.kserve.canary import with_canary
from delivery.kserve.changes import with_shadow
from delivery.kserve.documents import from_bytes, of_kind, to_bytes
from delivery.kserve.manifest import Manifest, manifest_path, service_of
from delivery.kserve.parse import parse
from delivery.kserve.render import render
from delivery.releases.live import live
from training.spec import ModelSpec

NAME = "bike-demand"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
VLLM = {"runtime": "kserve-vllmserver", "model_format": "vLLM"}


def rendered(spec: ModelSpec) -> Manifest:
    return render(spec, served("3"), "2")


def predictor_of(spec: ModelSpec) -> dict[str, Any]:
    service = service_of(rendered(spec).documents, spec.name)
    assert service
    return service["spec"]["predictor"]


def waits_and_lives(predictor: dict[str, Any]) -> tuple[int, int]:
    """Seconds that a container waits before it gets SIGTERM, and that its pod may live from the same moment."""
    wait = predictor["model"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    return wait, predictor["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        (model_spec(), (5, 65)),
        (model_spec(serving={"timeout_s": 600}), (5, 605)),
        (model_spec(serving={"runtime": "kserve-sklearnserver", "model_format": "sklearn"}), (35, 65)),
        (model_spec(serving={"runtime": "kserve-sklearnserver", "model_format": "sklearn", "timeout_s": 20}), (5, 25)),
        (language_spec(), (35, 65)),
        (language_spec(**VLLM, timeout_s=300), (5, 305)),
    ],
)
def test_a_pod_waits_and_then_has_time_for_the_longest_request(spec: ModelSpec, seconds: tuple[int, int]) -> None:
    """A stock server cuts off 30 s after SIGTERM what it has, so it gets SIGTERM that much later."""
    assert waits_and_lives(predictor_of(spec)) == seconds


def test_vllm_is_told_to_finish_what_it_has() -> None:
    assert "--shutdown-timeout=300" in predictor_of(language_spec(**VLLM, timeout_s=300))["model"]["args"]


def test_knative_gets_neither_field_for_its_webhook_takes_neither() -> None:
    predictor = predictor_of(model_spec(serving={"deployment_mode": "Knative"}))
    assert "terminationGracePeriodSeconds" not in predictor
    assert "lifecycle" not in predictor["model"]


def test_kserves_preset_for_language_models_keeps_its_own_wait_and_gets_the_time() -> None:
    service = service_of(rendered(language_spec(**VLLM, resource="LLMInferenceService")).documents, "llm-qa")
    assert service
    template = service["spec"]["template"]
    assert template["terminationGracePeriodSeconds"] == 15 + 600 + 5
    assert "lifecycle" not in template["containers"][0], "beside the preset's it would be a second handler"


def test_a_canary_and_a_shadow_drain_like_the_live_version() -> None:
    canary = model_spec(serving={"scaling": {"min_replicas": 2, "max_replicas": 2}, "canary": {"percent": 10}})
    service = service_of(with_canary(canary, rendered(canary), served("4"), 10).documents, NAME)
    assert service
    (overlay,) = service["spec"]["canary"]
    assert waits_and_lives({**service["spec"]["predictor"], **overlay["predictor"]}) == (5, 65)
    mirrored = model_spec(serving={"gateway": GATEWAY})
    documents = with_shadow(mirrored, rendered(mirrored), served("4")).documents
    shadow = of_kind(documents, "InferenceService", f"{NAME}-shadow")
    assert shadow and waits_and_lives(shadow["spec"]["predictor"]) == (5, 65)


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        (model_spec(serving={"runtime": "kserve-sklearnserver", "model_format": "sklearn"}), True),
        (language_spec(), True),
        (language_spec(**VLLM), True),
        (model_spec(), False),
    ],
)
def test_a_stock_runtime_keeps_the_last_words_of_its_server(spec: ModelSpec, kept: bool) -> None:
    """Ours has the policy in its ServingRuntime."""
    policy = predictor_of(spec)["model"].get("terminationMessagePolicy")
    assert policy == ("FallbackToLogsOnError" if kept else None)


def test_a_manifest_from_before_is_valid_and_is_committed_in_the_new_form_once(place: Place) -> None:
    place.release("2")
    now = live(place.remote, NAME)
    assert now
    path = manifest_path(NAME)
    place.commit(path, without_draining(place, path))
    before = live(place.remote, NAME)
    assert before and (before.version, before.digest) == (now.version, now.digest)
    again = place.release("2")
    assert again.changed
    assert b"preStop" in content(place, path)
    assert place.release("2").changed is False


def content(place: Place, path: str) -> bytes:
    return bare_git(place.manifests, "show", f"main:{path}").encode()


def without_draining(place: Place, path: str) -> bytes:
    documents = from_bytes(content(place, path))
    service = service_of(documents, NAME)
    assert service
    del service["spec"]["predictor"]["terminationGracePeriodSeconds"]
    del service["spec"]["predictor"]["model"]["lifecycle"]
    old = to_bytes(documents)
    assert parse(old, NAME, "c0ffee").served.version == "2"
    return old
