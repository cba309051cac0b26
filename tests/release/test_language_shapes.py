"""A language model from the registry to git and back, in both of KServe's shapes, and what each of them is told."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.candidates import bare_git, language_spec
from harness.contracts import crd_validator
from harness.image_registries import ImageRegistry
from harness.manifest_tree import built, checkout, only
from harness.registered import Place
from jsonschema import Draft202012Validator
from release.kserve_merge import merge_container

from delivery.kserve.canary import with_canary
from delivery.kserve.changes import with_shadow
from delivery.kserve.documents import from_bytes
from delivery.kserve.manifest import ServedVersion, service_of
from delivery.kserve.parse import parse
from delivery.kserve.render import render
from delivery.kserve.stock_runtimes import stock_container
from delivery.registry.lookup import registry
from delivery.releases.canary import commit_canary
from delivery.releases.environments import commit_promotion, in_production
from delivery.releases.live import live
from delivery.releases.reconcile import reconcile
from delivery.releases.release import Release
from delivery.releases.rollback import commit_rollback
from delivery.releases.shadow import commit_shadow
from training.errors import InputError
from training.spec import ModelSpec

NAME = "llm-qa"
URI = "s3://models/1/models/m-1/artifacts"
SERVED = ServedVersion(
    version="3",
    storage_uri=URI,
    digest="sha256:" + "a" * 64,
    data_fingerprint="sha256:" + "b" * 64,
    verdict_digest="sha256:" + "c" * 64,
    code_version="0123abc",
    spec_digest="sha256:" + "d" * 64,
)
NEXT = replace(SERVED, version="4", storage_uri=URI.replace("m-1", "m-2"))
GPU = {"resources": {"cpu": "4", "memory": "16Gi", "accelerator": {"type": "nvidia.com/gpu", "count": 1}}}
VLLM = {"runtime": "kserve-vllmserver", "model_format": "vLLM"}
LLM = {**VLLM, "resource": "LLMInferenceService"}
GATEWAY = {"gateway": {"name": "public", "namespace": "gateways", "hostname": "llm.example.org"}}
LLM_GATEWAY = {"gateway": {"name": "public", "namespace": "gateways"}}
SEPARATE = {"adapter": "separate", "hyperparameters": {"method": "lora", "lora_rank": 24}}


def service(spec: ModelSpec, uri: str = URI) -> dict[str, Any]:
    found = service_of(render(spec, replace(SERVED, storage_uri=uri), "2").documents, NAME)
    assert found
    return found


def model_of(spec: ModelSpec) -> dict[str, Any]:
    return service(spec)["spec"]["predictor"]["model"]


def container_args(spec: ModelSpec) -> list[str]:
    """What the server gets in the pod: the runtime's arguments, and the model's behind them."""
    return merge_container(stock_container(spec.serving.runtime), model_of(spec), NAME)["args"]


def main_container(spec: ModelSpec) -> dict[str, Any]:
    (main,) = service(spec)["spec"]["template"]["containers"]
    return main


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container["env"]}


# What the servers are told


def test_the_runtime_answers_to_the_specs_name_whatever_the_runtime() -> None:
    assert "--model_name=llm-qa" in container_args(language_spec())
    assert "--served-model-name=llm-qa" in container_args(language_spec(**VLLM))
    assert service(language_spec(**LLM))["spec"]["model"]["name"] == NAME


def test_kserve_is_given_a_protocol_that_its_runtimes_list_and_we_are_told_the_real_one() -> None:
    for serving in ({}, VLLM, LLM):
        content = render(language_spec(**serving), SERVED, "2").content
        assert parse(content, NAME, "c").served.protocol == "openai"
        assert b"protocolVersion: openai" not in content
    assert model_of(language_spec())["protocolVersion"] == model_of(language_spec(**VLLM))["protocolVersion"] == "v2"


ENGINE = {"max_model_len": 2048, "dtype": "bfloat16", "gpu_memory_utilization": 0.8}


def test_every_engine_option_is_spelt_as_the_server_reads_it() -> None:
    spec = language_spec(engine={**ENGINE, "backend": "vllm"}, **GPU)
    assert model_of(spec)["args"] == [
        "--backend=vllm",
        "--max_model_len=2048",
        "--dtype=bfloat16",
        "--gpu-memory-utilization=0.8",
    ]
    vllm = ["--max-model-len=2048", "--dtype=bfloat16", "--gpu-memory-utilization=0.8"]
    assert model_of(language_spec(engine=ENGINE, **VLLM, **GPU))["args"] == ["--shutdown-timeout=60", *vllm]
    told = variables(main_container(language_spec(engine=ENGINE, **LLM, **GPU)))
    assert shlex.split(told["VLLM_ADDITIONAL_ARGS"]) == vllm


def test_as_many_gpus_share_the_layers_as_a_replica_has() -> None:
    two = {"resources": {"accelerator": {"type": "nvidia.com/gpu", "count": 2}}, "engine": {"tensor_parallel": 2}}
    for serving in ({}, VLLM):
        assert "--tensor-parallel-size=2" in model_of(language_spec(**serving, **two))["args"]
    assert service(language_spec(**LLM, **two))["spec"]["parallelism"] == {"tensor": 2}


@pytest.mark.parametrize("serving", [{"engine": {"backend": "vllm"}}, VLLM, LLM])
def test_an_adapter_answers_to_the_name_and_its_base_to_another(serving: dict[str, Any]) -> None:
    spec = language_spec(training=SEPARATE, **serving)
    if "resource" in serving:
        told = shlex.split(variables(main_container(spec))["VLLM_ADDITIONAL_ARGS"])
        base = service(spec)["spec"]["model"]["name"]
    else:
        told = model_of(spec)["args"]
        base = told[0].partition("=")[2]
    assert base == "llm-qa-base"
    assert told[-3:] == ["--enable-lora", "--lora-modules=llm-qa=/mnt/models/adapter", "--max-lora-rank=32"]


def test_a_rank_that_vllm_takes_by_itself_is_not_written() -> None:
    spec = language_spec(training={"adapter": "separate"}, **VLLM)
    assert model_of(spec)["args"][-1].startswith("--lora-modules=")


@pytest.mark.parametrize("serving", [{}, VLLM, LLM])
def test_no_server_asks_a_hub_reports_its_use_or_runs_the_models_code(serving: dict[str, Any]) -> None:
    spec = language_spec(**serving)
    container = main_container(spec) if "resource" in serving else model_of(spec)
    told = variables(container)
    assert (told["HF_HUB_OFFLINE"], told["DO_NOT_TRACK"]) == ("1", "1")
    assert b"remote" not in render(spec, SERVED, "2").content


def test_a_secret_that_is_named_like_one_of_ours_takes_its_place() -> None:
    spec = language_spec(secret_env={"HF_HUB_OFFLINE": {"secret": "hub", "key": "offline"}})
    found = [one for one in model_of(spec)["env"] if one["name"] == "HF_HUB_OFFLINE"]
    assert found == [{"name": "HF_HUB_OFFLINE", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "offline"}}}]


def test_huggingfaceserver_counts_as_ready_when_the_model_is() -> None:
    model = model_of(language_spec())
    for probe in ("startupProbe", "readinessProbe"):
        assert model[probe]["httpGet"] == {"path": "/v2/models/llm-qa/ready", "port": 8080}
    start = model["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] == 1200
    knative = service(language_spec(deployment_mode="Knative"))
    assert knative["metadata"]["annotations"]["serving.knative.dev/progress-deadline"] == "1200s"
    assert "startupProbe" not in knative["spec"]["predictor"]["model"]


def test_requests_come_to_the_port_and_the_folder_that_vllm_serves() -> None:
    assert {"--port=8080", "--model=/mnt/models"} <= set(container_args(language_spec(**VLLM)))
    assert not {"ports", "startupProbe", "readinessProbe"} & model_of(language_spec(**VLLM)).keys()


def test_an_image_that_runs_as_root_is_not_forbidden_to() -> None:
    def forbidden(**serving: Any) -> bool:
        predictor = service(language_spec(**serving))["spec"]["predictor"]
        places = (predictor.get("securityContext", {}), predictor["model"]["securityContext"])
        return any(one.get("runAsNonRoot") for one in places)

    assert forbidden() and forbidden(deployment_mode="Knative")
    assert not forbidden(**VLLM) and not forbidden(**VLLM, deployment_mode="Knative")


def test_a_runtime_of_your_own_is_told_nothing_that_it_might_not_know() -> None:
    model = model_of(language_spec(runtime="our-server"))
    assert not {"args", "ports", "startupProbe", "readinessProbe"} & model.keys()


# LLMInferenceService


def test_the_gateway_of_the_spec_is_the_routes_else_kserves_own() -> None:
    router = service(language_spec(**LLM, **LLM_GATEWAY))["spec"]["router"]
    assert router == {"gateway": {"refs": [{"name": "public", "namespace": "gateways"}]}, "route": {}}
    assert service(language_spec(**LLM))["spec"]["router"] == {"gateway": {}, "route": {}}


def test_a_scarce_gpu_is_given_back_first_there_too() -> None:
    def strategy(**serving: Any) -> tuple[int, int]:
        found = service(language_spec(**LLM, **serving))["spec"]["rolloutStrategy"]
        return found["maxSurge"], found["maxUnavailable"]

    assert strategy(**GPU) == (0, 1)
    assert strategy() == strategy(**GPU, rollout="surge") == (1, 0)


@pytest.mark.parametrize("uri", ["gs://b/m-1/artifacts", "file:///srv/m-1/artifacts"])
def test_a_store_that_an_llm_inference_service_can_not_read_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="fetches s3:// and oci:// only"):
        service(language_spec(**LLM), uri)


SHAPES = {
    "placed": {**GPU, "node_selector": {"gpu": "l4"}, "tolerations": [{"key": "gpu"}], "image_pull_secrets": ["r"]},
    "gateway": {**GATEWAY, "scaling": {"min_replicas": 2, "max_replicas": 2}},
    "engine": {"engine": ENGINE, **GPU},
}


@pytest.mark.parametrize("training", [{}, SEPARATE])
@pytest.mark.parametrize("more", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("serving", [{}, VLLM, LLM], ids=["huggingface", "vllm", "llm"])
def test_every_shape_is_valid_for_its_crd_with_unknown_fields_refused(
    serving: dict[str, Any], more: dict[str, Any], training: dict[str, Any]
) -> None:
    both = {**serving, **more}
    if serving is LLM and "gateway" in more:
        both |= LLM_GATEWAY
    if not serving and training:
        both["engine"] = {**both.get("engine", {}), "backend": "vllm"}
    document = service(language_spec(training=training, **both))
    assert [error.message for error in validator(document).iter_errors(document)] == []


def validator(document: dict[str, Any]) -> Draft202012Validator:
    return crd_validator(f"{document['kind'].lower()}s", document["apiVersion"].rpartition("/")[2])


def test_the_crd_check_would_notice_an_unknown_field_of_an_llm_inference_service() -> None:
    document = service(language_spec(**LLM))
    document["spec"]["model"]["url"] = "x"
    assert any("url" in error.message for error in validator(document).iter_errors(document))


# Trials


def test_a_canary_of_a_language_model_gets_its_share_and_its_own_name_for_nothing() -> None:
    spec = language_spec(scaling={"min_replicas": 2, "max_replicas": 2}, canary={"percent": 10})
    content = with_canary(spec, render(spec, SERVED, "2"), NEXT, 10).content
    found = service_of(from_bytes(content), NAME)
    assert found and [error.message for error in validator(found).iter_errors(found)] == []
    (canary,) = found["spec"]["canary"]
    assert canary["predictor"]["model"]["args"] == found["spec"]["predictor"]["model"]["args"]


@pytest.mark.parametrize(("serving", "root"), [({}, "/openai/v1"), (VLLM, "/v1")])
def test_a_shadow_gets_a_copy_of_chats_and_completions(serving: dict[str, Any], root: str) -> None:
    spec = language_spec(**serving, **GATEWAY)
    content = with_shadow(spec, render(spec, SERVED, "2"), NEXT).content
    *_, shadow, route = from_bytes(content)
    paths = [one["path"]["value"] for one in route["spec"]["rules"][0]["matches"]]
    assert paths == [f"{root}/chat/completions", f"{root}/completions"]
    assert shadow["metadata"]["name"] == "llm-qa-shadow"
    assert shadow["spec"]["predictor"]["model"]["args"][0].endswith("=llm-qa"), "as the mirrored requests name it"


# From the registry to git and back


class Releases(Place):
    """A registry and a manifests repository for ``llm-qa``."""

    def serve(self, version: str, **serving: Any) -> Release:
        return self.release(version, spec=language_spec(**serving))

    def content(self) -> bytes:
        return bare_git(self.manifests, "show", f"main:models/{NAME}/inferenceservice.yaml").encode()


@pytest.fixture
def releases(tracking_uri: str, manifests: Path, tmp_path: Path) -> Releases:
    return Releases(tracking_uri, manifests, str(manifests), tmp_path, language_spec())


def test_a_language_model_is_registered_released_read_back_and_rolled_back(releases: Releases) -> None:
    assert [releases.register(weight) for weight in (1, 2)] == ["1", "2"]
    releases.serve("1")
    first = releases.content()
    assert releases.serve("1").changed is False, "a second time changes nothing"
    releases.serve("2")
    found = live(releases.remote, NAME)
    assert found and (found.version, found.previous_version) == ("2", "1")
    assert (found.runtime, found.protocol) == ("kserve-huggingfaceserver", "openai")
    version = registry(releases.tracking_uri).version(NAME, "2")
    assert version and found.digest == version.digest, "the server can't say which model it has; git can"
    reconcile(releases.connections)
    assert registry(releases.tracking_uri).aliases(NAME)["champion"] == "2"
    commit_rollback(releases.remote, NAME)
    assert releases.content() == first
    reconcile(releases.connections)
    assert registry(releases.tracking_uri).aliases(NAME)["champion"] == "1"


def test_the_other_resource_goes_the_same_way(
    releases: Releases, image_registry: ImageRegistry, tmp_path: Path
) -> None:
    images = {"oci_repository": image_registry.repository("models/llm-qa")}
    [releases.register(weight) for weight in (1, 2)]
    releases.serve("1", **images)
    before = releases.content()
    releases.serve("2", **images, **LLM, scaling={"min_replicas": 3, "max_replicas": 3})
    found = live(releases.remote, NAME)
    assert found and (found.version, found.previous_version, found.protocol) == ("2", "1", "openai")
    assert found.runtime == "kserve-vllmserver" and found.storage_uri.startswith(images["oci_repository"] + "@sha256:")
    assert releases.serve("2", **images, **LLM, scaling={"min_replicas": 3, "max_replicas": 3}).changed is False
    assert commit_promotion(releases.remote, NAME).changed and in_production(releases.remote, NAME) == "2"

    tree = checkout(releases.manifests, tmp_path / "tree")
    places = ("models", "environments/staging", "environments/production")
    services = [only(built(tree / place / NAME), "LLMInferenceService") for place in places]
    assert [one["spec"]["replicas"] for one in services] == [3, 1, 3]
    assert [one["metadata"]["namespace"] for one in services] == ["models", "models-staging", "models"]
    for one in services:
        assert [error.message for error in validator(one).iter_errors(one)] == []

    reconcile(releases.connections)
    assert registry(releases.tracking_uri).aliases(NAME)["champion"] == "2"
    commit_rollback(releases.remote, NAME)
    assert releases.content() == before


def test_nothing_is_tried_beside_an_llm_inference_service(releases: Releases, image_registry: ImageRegistry) -> None:
    images = {"oci_repository": image_registry.repository("models/llm-qa")}
    [releases.register(weight) for weight in (1, 2)]
    releases.serve("1", **images, **LLM)
    connections = releases.connections
    with pytest.raises(InputError, match="canary is not to be had with resource: LLMInferenceService"):
        commit_canary(language_spec(**images, **LLM), connections, 10, "2")
    with pytest.raises(InputError, match=r"can't have a shadow with serving\.resource"):
        commit_shadow(language_spec(**images, **LLM, **LLM_GATEWAY), connections, "2")
    with pytest.raises(InputError, match="is live as an LLMInferenceService, which can't have a canary"):
        commit_canary(language_spec(**images), connections, 10, "2")
    with pytest.raises(InputError, match="is live as an LLMInferenceService, which can't have a shadow"):
        commit_shadow(language_spec(**images, **GATEWAY), connections, "2")


def test_a_shadow_does_not_outlive_the_service_that_it_mirrors(
    releases: Releases, image_registry: ImageRegistry
) -> None:
    images = {"oci_repository": image_registry.repository("models/llm-qa")}
    [releases.register(weight) for weight in (1, 2, 3)]
    releases.serve("1", **images, **GATEWAY)
    commit_shadow(language_spec(**images, **GATEWAY), releases.connections, "2")
    releases.serve("3", **images, **LLM_GATEWAY, **LLM)
    kinds = [one["kind"] for one in yaml.safe_load_all(releases.content())]
    assert kinds == ["ServiceAccount", "LLMInferenceService"]
