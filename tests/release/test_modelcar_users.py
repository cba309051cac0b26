"""The user and the group of a pod whose model is an image, as a real KServe served it."""

from typing import Any

import yaml
from harness.candidates import language_spec, model_spec
from harness.command_line import ROOT
from harness.contracts import crd_validator

from delivery.kserve.canary import with_canary
from delivery.kserve.documents import Document, from_bytes, of_kind
from delivery.kserve.manifest import ServedVersion
from delivery.kserve.render import render
from delivery.kserve.stock_runtimes import stock_container

NAME = "bike-demand"
RECORDED = ROOT / "tests" / "recorded" / "kubernetes"
IMAGE = f"oci://registry.example.org/models/demand@sha256:{'0' * 64}"
FOLDER = "s3://models/1/models/m-1/artifacts"


def predictor_on(uri: str, **serving: Any) -> Document:
    """The predictor of a release whose model is at the URI; the whole service is held to KServe's CRD."""
    spec = model_spec(serving=serving)
    service = of_kind(from_bytes(render(spec, served_at(uri), "").content), "InferenceService", NAME)
    assert service
    crd_validator("inferenceservices", "v1beta1").validate(service)
    return service["spec"]["predictor"]


def served_at(uri: str) -> ServedVersion:
    digest = "sha256:" + "a" * 64
    return ServedVersion("3", uri, digest, digest, digest, "0123abc", digest)


def recorded_predictor(state: str) -> Document:
    return yaml.safe_load((RECORDED / f"kserve-{state}.yaml").read_text())["spec"]["predictor"]


def test_a_modelcar_gets_the_user_and_the_group_with_which_a_real_kserve_served_it() -> None:
    assert predictor_on(IMAGE)["securityContext"] == recorded_predictor("modelcar-healthy")["securityContext"]


def test_a_pod_without_an_image_of_its_model_is_as_before() -> None:
    refused = recorded_predictor("modelcar-refused-root-image")["securityContext"]
    assert predictor_on(FOLDER)["securityContext"] == refused, "which is right but for an image"


def test_the_users_of_a_modelcar_and_of_the_server_are_equal_on_each_runtime() -> None:
    ours = yaml.safe_load((ROOT / "manifests" / "runtimes" / "ostinato-mlflow.yaml").read_text())["spec"]["containers"]
    runtimes = {
        "ostinato-mlflow": (ours[0], {}),
        "kserve-tritonserver": (stock_container("kserve-tritonserver"), {"model_format": "onnx"}),
    }
    for name, (container, serving) in runtimes.items():
        pod = predictor_on(IMAGE, runtime=name, **serving)["securityContext"]
        server = {**pod, **container["securityContext"]}
        assert [server[field] for field in ("runAsUser", "runAsGroup")] == [pod["runAsUser"], pod["runAsGroup"]], name


def test_vllms_image_keeps_its_root_user_and_knative_takes_no_user_of_a_pod() -> None:
    spec = language_spec(runtime="kserve-vllmserver", model_format="vLLM")
    content = render(spec, served_at(IMAGE), "").content
    assert b"runAsUser" not in content
    assert "securityContext" not in predictor_on(IMAGE, deployment_mode="Knative")


def test_a_canary_whose_model_is_an_image_brings_the_users() -> None:
    spec = model_spec()
    content = with_canary(spec, render(spec, served_at(FOLDER), ""), served_at(IMAGE), 10).content
    service = of_kind(from_bytes(content), "InferenceService", NAME)
    assert service
    (canary,) = service["spec"]["canary"]
    assert canary["predictor"]["securityContext"]["runAsGroup"] == 10001
    assert "runAsUser" not in service["spec"]["predictor"]["securityContext"]
