"""What is rendered fits KServe's own runtimes, as the release ships them: format, port, arguments and probes."""

import re
from typing import Any

import pytest
import yaml
from harness.candidates import language_spec
from harness.command_line import ROOT
from harness.registered import served
from release.kserve_merge import merge_container
from release.shapes import Shape, shapes

from delivery.kserve.documents import Document, from_bytes
from delivery.kserve.render import render
from delivery.kserve.stock_runtimes import DATA, HTTP_PORT, stock_container, stock_runtimes
from delivery.serving.runtime_table import runtimes
from training.spec.serving_language import HUGGINGFACESERVER, VLLMSERVER

RECORDED = ROOT / "tests" / "recorded" / "kubernetes"
SEPARATE = {"adapter": "separate", "hyperparameters": {"method": "lora", "lora_rank": 24}}
PORT_OPTION = re.compile(r"--(?:http[-_]|rest_api_)?port=(\d+)")


def on_stock_runtimes() -> list[Any]:
    """Every shape of the docs whose predictor runs on one of KServe's own runtimes."""
    return [
        pytest.param(shape, id=shape.title.replace(" ", "-"))
        for shape in shapes()
        if shape.spec().serving.runtime in stock_runtimes() and shape.spec().serving.resource == "InferenceService"
    ]


def predictors(content: bytes) -> list[tuple[str, Document]]:
    """The name and the model of each service of a file."""
    services = [document for document in from_bytes(content) if document["kind"] == "InferenceService"]
    return [(service["metadata"]["name"], service["spec"]["predictor"]["model"]) for service in services]


def misfits(model: Document, service: str) -> list[str]:
    """Why the model would not be served on its runtime; [] if it would."""
    runtime, reasons = stock_runtimes()[model["runtime"]], []
    name = model["modelFormat"]["name"]
    if name not in [known["name"] for known in runtime["supportedModelFormats"]]:
        reasons.append(f"format {name}")
    if model["protocolVersion"] not in runtime.get("protocolVersions", [model["protocolVersion"]]):
        reasons.append(f"protocol {model['protocolVersion']}")
    merged = merge_container(stock_container(model["runtime"]), model, service)
    routed = merged["ports"][0]["containerPort"] if merged.get("ports") else HTTP_PORT
    listening = [int(port) for port in PORT_OPTION.findall(" ".join(merged["args"]))] or [HTTP_PORT]
    if listening != [routed]:
        reasons.append(f"listens on {listening}, requests come to {routed}")
    for probe in ("startupProbe", "readinessProbe"):
        if merged.get(probe, {}).get("httpGet", {"port": routed})["port"] != routed:
            reasons.append(f"{probe} asks another port")
    return reasons


def doubled(model: Document, service: str) -> list[str]:
    """Options that the server is given twice."""
    merged = merge_container(stock_container(model["runtime"]), model, service)
    names = [argument.partition("=")[0] for argument in merged["args"]]
    return sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("shape", on_stock_runtimes())
def test_every_shape_fits_the_runtime_that_it_names(shape: Shape) -> None:
    for service, model in predictors(shape.rendered()):
        assert misfits(model, service) == []
        if shape.spec().training.adapter != "separate":
            assert doubled(model, service) == []


@pytest.mark.parametrize(("state", "reason"), [
    ("format-refused", "format vllm"),
    ("ready-on-the-wrong-port", "listens on [8080], requests come to 8000"),
])  # fmt: skip
def test_what_a_real_kserve_did_not_serve_does_not_fit(state: str, reason: str) -> None:
    recorded = yaml.safe_load((RECORDED / f"kserve-vllm-{state}.yaml").read_text())
    assert reason in misfits(recorded["spec"]["predictor"]["model"], recorded["metadata"]["name"])


@pytest.mark.parametrize(("runtime", "option"), [
    ({"engine": {"backend": "vllm"}}, "--model_name"),
    ({"runtime": VLLMSERVER, "model_format": "vLLM"}, "--served-model-name"),
])  # fmt: skip
def test_a_server_whose_model_is_not_named_like_the_service_gets_the_name_last(
    runtime: dict[str, Any], option: str
) -> None:
    spec = language_spec(training=SEPARATE, **runtime)
    ((service, model),) = predictors(render(spec, served("3"), "2").content)
    assert doubled(model, service) == [option]
    merged = merge_container(stock_container(model["runtime"]), model, service)
    assert [argument for argument in merged["args"] if argument.startswith(option)][-1] == f"{option}=llm-qa-base"


def test_the_table_of_runtimes_says_what_the_release_ships() -> None:
    for name, runtime in runtimes(None).items():
        if name not in stock_runtimes():
            assert name == "ostinato-mlflow"
            continue
        shipped = stock_runtimes()[name]
        assert runtime.formats.keys() <= {known["name"] for known in shipped["supportedModelFormats"]}, name
        spoken = set(runtime.protocols) - {"openai"}
        assert spoken <= set(shipped.get("protocolVersions", spoken)), name
    images = {name: stock_container(name)["image"] for name in stock_runtimes()}
    for name, library in (("kserve-mlserver", "mlserver"), ("kserve-tritonserver", "tritonserver")):
        tag = images[name].rpartition(":")[2]
        assert tag.startswith(runtimes(None)[name].libraries[library])


def test_vllm_is_started_by_the_gate_as_the_runtime_starts_it() -> None:
    start = runtimes(None)[VLLMSERVER].start
    shipped = stock_container(VLLMSERVER)
    assert start and list(start.command[1:3]) == shipped["command"][1:]
    options = {argument.partition("=")[0] for argument in start.command if isinstance(argument, str)}
    assert {argument.partition("=")[0] for argument in shipped["args"]} <= options


def test_the_data_names_its_release_and_its_licence() -> None:
    head = DATA.read_text(encoding="utf-8").partition("---")[0]
    assert "0.20.0" in head and "Apache License 2.0" in head and re.search(r"/blob/[0-9a-f]{40}/charts/", head)
    assert {HUGGINGFACESERVER, VLLMSERVER} <= stock_runtimes().keys()
