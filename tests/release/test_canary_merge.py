"""A canary as KServe runs it is the version that a release would serve, field by field; else it is refused."""

import copy
from typing import Any

import pytest
from harness.candidates import language_spec, model_spec
from harness.contracts import crd_validator
from harness.registered import served
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from release.kserve_merge import canary_replicas, live_replicas, merge_canary, merge_over

from delivery.kserve.canary import end_takeover, kept_fields, start_takeover, with_canary
from delivery.kserve.documents import Document
from delivery.kserve.manifest import Manifest, ServedVersion, service_of
from delivery.kserve.parse import manifest_of, parse
from delivery.kserve.render import render
from training.errors import InputError
from training.spec import ModelSpec

NAME = "bike-demand"
NOT_OF_A_CANARY = (
    "name",
    "annotations",
    "minReplicas",
    "maxReplicas",
    "scaleMetric",
    "scaleTarget",
    "deploymentStrategy",
)
GPU = {"type": "nvidia.com/gpu", "count": 1}
SECRET = {"HF_TOKEN": {"secret": "hub", "key": "token"}}
LOG = {"url": "http://sink.logs"}


def service(manifest: Manifest) -> Document:
    found = service_of(manifest.documents, manifest.served.name)
    assert found
    return found


def predictor(manifest: Manifest) -> Document:
    return service(manifest)["spec"]["predictor"]


def whole(spec: ModelSpec, version: ServedVersion) -> Document:
    """What a release of the version runs."""
    return comparable(predictor(render(spec, version, "2")))


def comparable(running: Document) -> Document:
    """A predictor without what is said of how many and which; the container's name is KServe's to give."""
    left = {field: value for field, value in running.items() if field not in NOT_OF_A_CANARY}
    return left | {"model": {key: value for key, value in left["model"].items() if key != "name"}}


def valid(build: Any, serving: dict[str, Any]) -> ModelSpec:
    try:
        return build(serving)
    except ValidationError:
        assume(False)
        raise


def table(serving: dict[str, Any]) -> ModelSpec:
    return model_spec(serving=serving)


def language(serving: dict[str, Any]) -> ModelSpec:
    return language_spec(NAME, **serving)


RESOURCES = st.fixed_dictionaries(
    {"cpu": st.sampled_from(["1", "2"]), "memory": st.sampled_from(["2Gi", "4Gi"])},
    optional={"accelerator": st.just(GPU)},
)
REPLICAS = st.sampled_from([{"min_replicas": n, "max_replicas": n} for n in (1, 2, 5)])
TOLERATION = st.fixed_dictionaries({"key": st.sampled_from(["gpu", "spot"])}, optional={"value": st.just("yes")})
SHARED: dict[str, Any] = {
    "resources": RESOURCES,
    "scaling": REPLICAS,
    "rollout": st.just("surge"),
    "node_selector": st.dictionaries(st.sampled_from(["disk", "pool"]), st.sampled_from(["", "fast", "slow"])),
    "tolerations": st.lists(TOLERATION, max_size=2),
    "image_pull_secrets": st.lists(st.sampled_from(["one", "two"]), max_size=2, unique=True),
    "secret_env": st.sampled_from([{}, SECRET]),
    "payload_log": st.sampled_from([None, LOG, {**LOG, "mode": "request"}]),
    "timeout_s": st.sampled_from([None, 10, 300]),
}
ENGINE = st.sampled_from([{}, {"max_model_len": 2048}, {"backend": "vllm", "dtype": "float16"}])
TABLES = st.fixed_dictionaries(
    {"protocol": st.sampled_from(["v1", "v2"])},
    optional={
        **SHARED,
        "runtime": st.sampled_from(["ostinato-mlflow", "kserve-sklearnserver"]),
        "batching": st.just({"max_batch_size": 8, "max_latency_ms": 20}),
    },
).map(lambda serving: (table, serving))
LANGUAGES = st.fixed_dictionaries({}, optional={**SHARED, "engine": ENGINE}).flatmap(
    lambda serving: st.sampled_from([{}, {"runtime": "kserve-vllmserver", "model_format": "vLLM"}]).map(
        lambda runtime: (language, {**serving, **runtime})
    )
)
PAIRS = st.one_of(st.tuples(TABLES, TABLES), st.tuples(LANGUAGES, LANGUAGES))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(pair=PAIRS, percent=st.integers(1, 99))
def test_a_canary_is_what_a_release_would_serve_or_is_refused(pair: Any, percent: int) -> None:
    old, new = (valid(*made) for made in pair)
    live, version = render(old, served("3"), "2"), served("4")
    can_be_said = comparable(merge_over(predictor(live), whole(new, version))) == whole(new, version)
    try:
        manifest = with_canary(new, live, version, percent)
    except InputError as error:
        assert not can_be_said, f"refused for nothing: {error}"
        return
    assert comparable(merge_canary(service(manifest))) == whole(new, version)
    assert predictor(manifest) == predictor(live), "the live version's part stays"
    over = start_takeover(new, manifest, version, keeps_capacity=True)
    assert comparable(merge_canary(service(over))) == whole(new, version) == comparable(predictor(over))
    assert live_replicas(service(over)) >= new.serving.scaling.min_replicas
    assert end_takeover(over).content == render(new, version, "3").content


FULL = {
    "resources": {"cpu": "1", "memory": "2Gi", "accelerator": GPU},
    "rollout": "surge",
    "node_selector": {"disk": "fast", "pool": "gpu"},
    "tolerations": [{"key": "gpu"}],
    "image_pull_secrets": ["registry"],
    "secret_env": SECRET,
    "payload_log": LOG,
    "protocol": "v1",
    "batching": {"max_batch_size": 8, "max_latency_ms": 20},
    "timeout_s": 10,
}
MODEL = "spec.predictor.model"
TAKEN_AWAY = [
    ("resources", {"cpu": "1", "memory": "2Gi"}, [f'{MODEL}.resources.requests.nvidia.com/gpu: "1"']),
    ("node_selector", {"disk": "fast"}, ['spec.predictor.nodeSelector.pool: "gpu"']),
    ("node_selector", {}, ['spec.predictor.nodeSelector: {"disk": "fast", "pool": "gpu"}']),
    ("tolerations", [], ['spec.predictor.tolerations: [{"key": "gpu"']),
    ("image_pull_secrets", [], ['spec.predictor.imagePullSecrets: [{"name": "registry"}]']),
    ("payload_log", None, ['spec.predictor.logger: {"mode": "all", "url": "http://sink.logs"}']),
    ("batching", None, ["spec.predictor.batcher: "]),
    ("timeout_s", None, ["spec.predictor.timeout: 10 in version 3, nothing in version 4"]),
]


@pytest.mark.parametrize(("field", "value", "named"), TAKEN_AWAY)
def test_what_the_new_version_took_away_is_named_with_both_values_and_the_way_out(
    field: str, value: Any, named: list[str]
) -> None:
    live = render(table(FULL), served("3"), "2")
    with pytest.raises(InputError) as caught:
        with_canary(table({**FULL, field: value}), live, served("4"), 10)
    told = str(caught.value)
    assert all(text in told for text in named), told
    assert "in version 3, nothing in version 4" in told
    assert "Release it to all requests (ostinato promote bike-demand --version 4)" in told


def test_a_spec_whose_releases_start_as_a_canary_is_told_how_to_release_one_whole() -> None:
    live = render(table(FULL), served("3"), "2")
    with pytest.raises(InputError, match=r"take serving\.canary out of spec\.yaml, then: ostinato promote"):
        with_canary(table({**FULL, "timeout_s": None, "canary": {"percent": 5}}), live, served("4"), 5)


def test_an_environment_variable_that_went_goes_from_the_canary_too() -> None:
    live = render(table(FULL), served("3"), "2")
    manifest = with_canary(table({**FULL, "secret_env": {}}), live, served("4"), 10)
    assert [entry["name"] for entry in merge_canary(service(manifest))["model"]["env"]] == ["OSTINATO_MODEL_DIGEST"]


def test_what_somebody_wrote_into_the_live_part_by_hand_is_looked_at_as_well() -> None:
    live = copy.deepcopy(render(table({}), served("3"), "2").documents)
    edited = service_of(live, NAME)
    assert edited
    edited["spec"]["predictor"]["priorityClassName"] = "high"
    with pytest.raises(InputError, match=r'spec\.predictor\.priorityClassName: "high" in version 3, nothing'):
        with_canary(table({}), manifest_of(live, NAME), served("4"), 10)


@pytest.mark.parametrize(
    ("live", "new", "kept"),
    [
        ({"a": 1}, {}, ["p.a"]),
        ({"a": True}, {"a": False}, ["p.a"]),
        ({"a": [1]}, {"a": []}, ["p.a"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, ["p.a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["p.a.b"]),
        ({"port": "http"}, {"port": 8080}, ["p.port"]),
        ({"a": "x"}, {"a": ""}, []),
        ({"a": False}, {"a": False}, []),
        ({"a": [1, 2]}, {"a": [2]}, []),
        ({}, {"a": 0}, []),
    ],
)
def test_fields_that_a_merge_keeps(live: Document, new: Document, kept: list[str]) -> None:
    assert [field.field for field in kept_fields(live, new, "p")] == kept


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("percent", [1, 10, 50, 99])
@pytest.mark.parametrize("made", [table({}), language({})], ids=["table", "language"])
def test_every_state_of_a_takeover_is_valid_and_keeps_the_pods(made: ModelSpec, percent: int, replicas: int) -> None:
    scaling = {"min_replicas": replicas, "max_replicas": replicas}
    raw = made.model_dump()
    spec = ModelSpec.model_validate({**raw, "serving": {**raw["serving"], "scaling": scaling}})
    beside = with_canary(spec, render(spec, served("3"), "2"), served("4"), percent)
    over = start_takeover(spec, beside, served("4"), keeps_capacity=True)
    assert canary_replicas(service(over)) == canary_replicas(service(beside)), "no pod of the canary goes"
    assert live_replicas(service(over)) == replicas
    # As KServe's webhook has it (validateCanarySpecs, inference_service_validation.go at aaac4e29).
    assert canary_replicas(service(over)) <= predictor(over)["minReplicas"]
    ended = end_takeover(over)
    validator = crd_validator("inferenceservices", "v1beta1")
    for manifest in (beside, over, ended):
        assert [error.message for error in validator.iter_errors(service(manifest))] == []
        assert parse(manifest.content, NAME, "").served == manifest.served
    assert (over.served.version, over.served.previous_version, over.served.takes_over) == ("4", "3", True)
    assert ended.content == render(spec, served("4"), "3").content


def test_staging_which_has_one_replica_gets_no_pods_besides() -> None:
    spec = table({"scaling": {"min_replicas": 4, "max_replicas": 4}})
    beside = with_canary(spec, render(spec, served("3"), "2"), served("4"), 80)
    over = start_takeover(spec, beside, served("4"), keeps_capacity=False)
    assert predictor(over)["minReplicas"] == 4
    assert "minReplicas" not in service(over)["spec"]["canary"][0]["predictor"]
    assert end_takeover(over).content == render(spec, served("4"), "3").content
