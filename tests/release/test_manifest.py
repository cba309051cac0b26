"""The manifest: byte-stable, canonical, valid for KServe's CRD, and read back or refused with the field's name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.candidates import model_spec
from harness.contracts import crd_validator
from jsonschema import Draft202012Validator

from delivery.kserve.documents import from_bytes, of_kind
from delivery.kserve.manifest import ServedVersion, check_storage_uri, manifest_path
from delivery.kserve.parse import parse
from delivery.kserve.quantities import canonical_quantity
from delivery.kserve.render import render
from training.errors import InputError

URI = "file:///srv/artifacts/models/m-1/artifacts"
SERVED = ServedVersion(
    version="3",
    storage_uri=URI,
    digest="sha256:" + "a" * 64,
    data_fingerprint="sha256:" + "b" * 64,
    verdict_digest="sha256:" + "c" * 64,
    code_version="0123abc",
    spec_digest="sha256:" + "d" * 64,
)
GOLDEN = Path(__file__).with_name("inferenceservice.golden.yaml")
GPU = {"resources": {"cpu": "1.5", "memory": "1024Mi", "accelerator": {"type": "nvidia.com/gpu"}}}


def rendered(previous: str = "2", **spec: Any) -> bytes:
    return render(model_spec(**spec), SERVED, previous).content


def service_of(content: bytes) -> dict[str, Any]:
    found = of_kind(from_bytes(content), "InferenceService", "bike-demand")
    assert found
    return found


def test_a_rendered_manifest_is_the_golden_file_byte_for_byte(request: pytest.FixtureRequest) -> None:
    content = rendered(serving=GPU)
    if request.config.getoption("--update-golden"):
        GOLDEN.write_bytes(content)
    assert content == GOLDEN.read_bytes()


def test_equal_specs_that_are_written_differently_render_equal_bytes() -> None:
    assert rendered(serving=GPU) == rendered(
        serving={"resources": {"accelerator": {"count": 1, "type": "nvidia.com/gpu"}, "cpu": "1500m", "memory": "1Gi"}}
    )


def test_runtime_protocol_and_deployment_mode_are_written_although_they_are_defaults() -> None:
    document = service_of(rendered())
    model = document["spec"]["predictor"]["model"]
    assert (model["runtime"], model["protocolVersion"]) == ("ostinato-mlflow", "v2")
    assert document["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


def test_a_first_release_has_no_previous_version() -> None:
    assert b"previous-version" not in rendered(previous="")
    assert parse(rendered(previous=""), "bike-demand", "c").served.previous_version == ""


def test_a_manifest_says_what_it_was_rendered_from() -> None:
    live = parse(rendered(), "bike-demand", "c0ffee").served
    assert (live.previous_version, live.commit) == ("2", "c0ffee")
    assert live.registered_model == live.name == "bike-demand"
    assert {field: getattr(live, field) for field in vars(SERVED)} == vars(SERVED)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("2", "2"),
        ("2000", "2k"),
        ("0", "0"),
        ("0.0005", "500u"),
        ("1500M", "1500M"),
        ("1000M", "1G"),
        ("1.5G", "1500M"),
        ("2Gi", "2Gi"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("1536Mi", "1536Mi"),
        ("1.5Ki", "1536"),
        ("0.5Ki", "512"),
    ],
)
def test_quantities_are_written_as_kubernetes_writes_them_back(written: str, canonical: str) -> None:
    assert canonical_quantity(written) == canonical
    assert canonical_quantity(canonical) == canonical


@pytest.mark.parametrize(
    "uri", [URI, "s3://bucket/1/models/m-1/artifacts", "gs://b/k", "oci://registry.example.org/m@sha256:" + "0" * 64]
)
def test_storage_uris_that_can_not_move_are_accepted(uri: str) -> None:
    assert check_storage_uri(uri) == uri


@pytest.mark.parametrize(
    ("uri", "fix"),
    [
        ("models:/bike-demand@champion", "an alias or registry name moves"),
        ("models:/bike-demand/3", "an alias or registry name moves"),
        ("runs:/abc/model", "KServe can't resolve a run"),
        ("mlflow-artifacts:/1/models/m-1/artifacts", "--no-serve-artifacts"),
        ("oci://registry.example.org/m:latest", "by digest"),
        ("https://example.org/model.tar.gz", "use file:///"),
        ("/srv/artifacts", "use file:///"),
        ("file://relative", "use file:///"),
        ("s3://bucket/a b", "use file:///"),
        ("", "use file:///"),
    ],
)
def test_storage_uris_that_move_or_can_not_be_fetched_are_refused_with_the_fix(uri: str, fix: str) -> None:
    with pytest.raises(InputError, match=fix):
        render(model_spec(), replace(SERVED, storage_uri=uri), "")


def _edited(**annotations: Any) -> bytes:
    document = service_of(rendered())
    document["metadata"]["annotations"] |= {
        f"ostinato.dev/{key.replace('_', '-')}": v for key, v in annotations.items()
    }
    return yaml.safe_dump(document).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"", "no InferenceService"),
        (b"- 1", "no InferenceService"),
        (b"kind: Deployment", "no InferenceService"),
        (b"kind: InferenceService", "metadata.name is None"),
        (rendered(name="other"), "metadata.name is 'other', but the folder is 'bike-demand'"),
        (_edited(model_version=3), "model-version is 3"),
        (_edited(model_version="three"), "model-version is 'three', no version number"),
        (_edited(previous_version=2), "previous-version is 2, no version number"),
        (_edited(model_digest=""), "model-digest is ''"),
        (rendered().replace(URI.encode(), b"models:/bike-demand@champion"), "an alias or registry name moves"),
    ],
)
def test_a_broken_or_hand_edited_manifest_is_refused_with_the_field_and_the_way_back(
    content: bytes, words: str
) -> None:
    with pytest.raises(InputError, match="ostinato rollback") as caught:
        parse(content, "bike-demand", "c0ffee")
    assert words in str(caught.value)
    assert "models/bike-demand/inferenceservice.yaml at commit c0ffee" in str(caught.value)


def test_a_file_of_one_document_as_older_versions_wrote_it_is_still_read() -> None:
    alone = rendered().partition(b"---\n")[2]
    assert parse(alone, "bike-demand", "c0ffee").served == parse(rendered(), "bike-demand", "c0ffee").served


def test_the_pods_may_do_no_more_than_they_must() -> None:
    account = of_kind(from_bytes(rendered()), "ServiceAccount", "bike-demand")
    predictor = service_of(rendered())["spec"]["predictor"]
    assert account and account["automountServiceAccountToken"] is False
    assert predictor["serviceAccountName"] == "bike-demand"
    assert predictor["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    secured = predictor["model"]["securityContext"]
    assert secured["readOnlyRootFilesystem"] and not secured["allowPrivilegeEscalation"]
    assert secured["capabilities"] == {"drop": ["ALL"]}


def test_in_knative_the_container_says_what_the_pod_may_not_say() -> None:
    predictor = service_of(rendered(serving={"deployment_mode": "Knative"}))["spec"]["predictor"]
    assert "securityContext" not in predictor and "deploymentStrategy" not in predictor
    assert predictor["model"]["securityContext"]["runAsNonRoot"] is True


def test_a_stock_runtime_keeps_a_root_file_system_that_it_can_write_and_is_told_no_digest() -> None:
    model = service_of(rendered(serving={"runtime": "kserve-mlserver"}))["spec"]["predictor"]["model"]
    assert "readOnlyRootFilesystem" not in model["securityContext"] and "env" not in model


def test_our_runtime_is_told_the_digest_that_it_is_to_load() -> None:
    (first, *_) = service_of(rendered())["spec"]["predictor"]["model"]["env"]
    assert first == {"name": "OSTINATO_MODEL_DIGEST", "value": SERVED.digest}


@pytest.mark.parametrize(
    ("serving", "strategy"),
    [
        ({}, "RollingUpdate"),
        (GPU, "Recreate"),
        ({**GPU, "rollout": "surge"}, "RollingUpdate"),
        ({"rollout": "recreate"}, "Recreate"),
    ],
)
def test_a_scarce_gpu_is_given_back_before_the_new_pod_wants_it(serving: dict[str, Any], strategy: str) -> None:
    assert service_of(rendered(serving=serving))["spec"]["predictor"]["deploymentStrategy"]["type"] == strategy


def test_no_value_of_a_secret_and_no_order_of_a_mapping_comes_into_the_file() -> None:
    a, b = {"secret": "one", "key": "k"}, {"secret": "two", "key": "k"}
    forwards = {"secret_env": {"A": a, "B": b}, "node_selector": {"x": "1", "y": "2"}}
    backwards = {"secret_env": {"B": b, "A": a}, "node_selector": {"y": "2", "x": "1"}}
    assert rendered(serving=forwards) == rendered(serving=backwards)


@pytest.mark.parametrize("name", ["../up", "a b", "a:b", "A", "", "a/b", "-x", "$(x)", "a\n"])
def test_a_name_that_is_not_safe_as_a_path_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        manifest_path(name)


@pytest.fixture(scope="module")
def crd() -> Draft202012Validator:
    return crd_validator("inferenceservices", "v1beta1")


@pytest.mark.parametrize(
    "serving",
    [
        {},
        GPU,
        {"protocol": "v1", "deployment_mode": "Knative", "model_format": "sklearn", "runtime": "kserve-sklearnserver"},
        {"scaling": {"min_replicas": 2, "max_replicas": 5}, "namespace": "prod"},
    ],
)
def test_every_rendered_shape_is_valid_for_kserves_crd(crd: Draft202012Validator, serving: dict[str, Any]) -> None:
    document = service_of(rendered(serving=serving))
    assert [error.message for error in crd.iter_errors(document)] == []
    annotations = document["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in annotations.values())


def test_the_crd_check_would_notice_an_unknown_field(crd: Draft202012Validator) -> None:
    document = service_of(rendered())
    document["spec"]["predictor"]["model"]["storageURI"] = "x"
    assert any("storageURI" in error.message for error in crd.iter_errors(document))


def test_every_fact_of_a_version_changes_the_bytes() -> None:
    for field in ("digest", "data_fingerprint", "verdict_digest", "code_version", "spec_digest"):
        other = replace(SERVED, **{field: "other"})
        assert render(model_spec(), other, "2").content != rendered()
