"""What is rendered fits KServe's own runtimes, as the release ships them: format, port, arguments and probes."""

import re
from typing import Any

import pytest
import yaml
from harness.candidates import language_spec, model_spec
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


OURS = yaml.safe_load((ROOT / "manifests" / "runtimes" / "ostinato-mlflow.yaml").read_text())
RUNTIMES = {**stock_runtimes(), OURS["metadata"]["name"]: OURS["spec"]}
"""Every runtime that the table of runtimes names, as the cluster has it."""


def on_runtimes() -> list[Any]:
    """Every shape of the docs whose predictor runs on a runtime."""
    return [
        pytest.param(shape, id=shape.title.replace(" ", "-"))
        for shape in shapes()
        if shape.spec().serving.resource == "InferenceService"
    ]


def combinations() -> list[Any]:
    """Runtime, format and protocol of every line of the table."""
    return [
        pytest.param(name, model_format, protocol, id=f"{name}-{model_format}-{protocol}")
        for name, runtime in runtimes(None).items()
        for model_format in runtime.formats
        for protocol in runtime.protocols
    ]


def merged_with_runtime(model: Document, service: str) -> Document:
    """The container that KServe makes of the model and its runtime."""
    return merge_container(RUNTIMES[model["runtime"]]["containers"][0], model, service)


def predictors(content: bytes) -> list[tuple[str, Document]]:
    """The name and the model of each service of a file."""
    services = [document for document in from_bytes(content) if document["kind"] == "InferenceService"]
    return [(service["metadata"]["name"], service["spec"]["predictor"]["model"]) for service in services]


def misfits(model: Document, service: str) -> list[str]:
    """Why the model would not be served on its runtime; [] if it would."""
    runtime, reasons = RUNTIMES[model["runtime"]], []
    name = model["modelFormat"]["name"]
    if name not in [known["name"] for known in runtime["supportedModelFormats"]]:
        reasons.append(f"format {name}")
    if model["protocolVersion"] not in runtime.get("protocolVersions", [model["protocolVersion"]]):
        reasons.append(f"protocol {model['protocolVersion']}")
    merged = merged_with_runtime(model, service)
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
    merged = merged_with_runtime(model, service)
    names = [argument.partition("=")[0] for argument in merged["args"]]
    return sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("shape", on_runtimes())
def test_every_shape_fits_the_runtime_that_it_names(shape: Shape) -> None:
    for service, model in predictors(shape.rendered()):
        assert misfits(model, service) == []
        if shape.spec().training.adapter != "separate":
            # A shadow answers to the live model's name; the last one given counts.
            assert doubled(model, service) == (["--model_name"] if service.endswith("-shadow") else [])


@pytest.mark.parametrize(("runtime", "model_format", "protocol"), combinations())
def test_every_line_of_the_table_fits_the_runtime_that_it_is_about(
    runtime: str, model_format: str, protocol: str
) -> None:
    serving = {"runtime": runtime, "model_format": model_format, "protocol": protocol}
    spec = language_spec(**serving) if protocol == "openai" else model_spec(serving=serving)
    ((service, model),) = predictors(render(spec, served("3"), "2").content)
    assert (misfits(model, service), doubled(model, service)) == ([], [])
    merged = merged_with_runtime(model, service)
    assert merged["image"] == RUNTIMES[runtime]["containers"][0]["image"]
    assert merged["resources"]["limits"] == model["resources"]["limits"]


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
    merged = merged_with_runtime(model, service)
    assert [argument for argument in merged["args"] if argument.startswith(option)][-1] == f"{option}=llm-qa-base"


def test_the_table_of_runtimes_says_what_the_release_ships() -> None:
    for name, runtime in runtimes(None).items():
        shipped = RUNTIMES[name]
        assert runtime.formats.keys() <= {known["name"] for known in shipped["supportedModelFormats"]}, name
        spoken = set(runtime.protocols) - {"openai"}
        assert spoken <= set(shipped.get("protocolVersions", spoken)), name
    images = {name: stock_container(name)["image"] for name in stock_runtimes()}
    for name, library in (("kserve-mlserver", "mlserver"), ("kserve-tritonserver", "tritonserver")):
        tag = images[name].rpartition(":")[2]
        assert tag.startswith(runtimes(None)[name].libraries[library])


PLACES = {"/mnt/models": "{model_dir}", "8080": "{http_port}", "9000": "{grpc_port}", "{{.Name}}": "{weights_name}"}
"""What stands on this machine in place of a path, a port or a name of the cluster."""


@pytest.mark.parametrize("name", ["kserve-tritonserver", HUGGINGFACESERVER, VLLMSERVER])
def test_a_runtime_is_started_on_this_machine_as_its_release_starts_it(name: str) -> None:
    start, shipped = runtimes(None)[name].start, stock_container(name)
    assert start
    released = [*shipped.get("command", []), *shipped["args"]]
    for value, place in PLACES.items():
        released = [argument.replace(value, place) for argument in released]
    assert set(released) - {"python"} <= set(start.command)
    assert ("python" in released) <= (start.command[0] == "{own_python}")


def test_a_runtime_that_is_started_on_this_machine_and_released_is_held_to_its_release() -> None:
    started = {name for name, runtime in runtimes(None).items() if runtime.start}
    assert started & stock_runtimes().keys() == {"kserve-tritonserver", HUGGINGFACESERVER, VLLMSERVER}


def test_the_data_names_its_release_and_its_licence() -> None:
    head = DATA.read_text(encoding="utf-8").partition("---")[0]
    assert "0.20.0" in head and "Apache License 2.0" in head and re.search(r"/blob/[0-9a-f]{40}/charts/", head)
    assert {HUGGINGFACESERVER, VLLMSERVER} <= stock_runtimes().keys()
    (source,) = re.findall(r"https://\S+/charts/\S+", head)
    for name in stock_runtimes():
        assert source in runtimes(None)[name].sources, f"{name} is from another release than its data"
