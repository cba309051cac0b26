"""The package for Vertex AI: what differs from the laptop's, and what is refused when it is compiled."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.pipeline_spec import pipeline_spec_pb2
from vertex.conftest import ROOT, SETTINGS
from vertex.library_step import ACCOUNT, ENV, KEY, MACHINE, NETWORK, compiled, fit

from pipelines.backends.vertex.custom_step import as_custom_job
from pipelines.backends.vertex.package import for_vertex
from pipelines.backends.vertex.vertex_settings import VertexSettings
from pipelines.continuous_training import compile_package
from training.errors import InputError
from training.spec import ModelSpec, parse_spec

CODE = dict.fromkeys(("preprocess", "train", "evaluate"), "sha256:0")
BARE = VertexSettings.model_validate(SETTINGS)
L4 = {"type": "nvidia.com/gpu", "vertex_type": "NVIDIA_L4", "count": 1}


def spec_with(accelerator: dict | None = None, **steps: Any) -> ModelSpec:
    raw = yaml.safe_load((ROOT / "training" / "demand_forecaster" / "spec.yaml").read_text())
    raw["training"]["resources"] = {"cpu": "4", "memory": "8Gi"} | ({"accelerator": accelerator} if accelerator else {})
    return parse_spec(yaml.safe_dump(raw | {"steps": steps}), "spec.yaml")


def packages(spec: ModelSpec, settings: VertexSettings = BARE) -> tuple[dict[str, Any], dict[str, Any]]:
    """The laptop's, and Vertex AI's, which KFP's own message type must take."""
    local = yaml.safe_load(compile_package(spec, CODE, "ostinato@sha256:" + "1" * 64))
    made = for_vertex(local, spec, settings)
    ParseDict(made, pipeline_spec_pb2.PipelineSpec())
    return local, made


def container(package: dict[str, Any], step: str) -> dict[str, Any]:
    return package["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def test_a_spec_that_asks_for_nothing_compiles_as_for_the_laptop() -> None:
    local, made = packages(spec_with())
    assert made == local


def test_an_accelerator_has_vertex_ais_name_and_nothing_else_differs() -> None:
    local, made = packages(spec_with(L4))
    assert container(made, "train")["resources"]["accelerator"] == {
        "type": "NVIDIA_L4", "resourceType": "NVIDIA_L4", "count": "1", "resourceCount": "1"
    }  # fmt: skip
    assert container(local, "train")["resources"]["accelerator"]["type"] == "nvidia.com/gpu"
    container(made, "train")["resources"]["accelerator"] = container(local, "train")["resources"]["accelerator"]
    assert made == local


@pytest.mark.parametrize(
    ("accelerator", "what"),
    [
        ({"type": "nvidia.com/gpu"}, r"training.resources.accelerator.type: 'nvidia.com/gpu' is Kubernetes' name; .*"
                                     r"training.resources.accelerator.vertex_type, such as NVIDIA_L4"),
        ({"type": "NVIDIA_T4"}, "training.resources.accelerator.type: no machine type is known for 'NVIDIA_T4'. Did "
                                "you mean 'NVIDIA_L4'|NVIDIA_TESLA_T4"),
        ({"type": "NVIDIA_L4", "count": 3}, "training.resources.accelerator.count: NVIDIA_L4 comes as 1, 2, 4, 8 on"),
    ],
)  # fmt: skip
def test_an_accelerator_that_vertex_ai_does_not_have_is_refused_by_its_field(accelerator: dict, what: str) -> None:
    with pytest.raises(InputError, match=what):
        packages(spec_with(accelerator))


def test_a_steps_own_accelerator_is_refused_by_its_own_field() -> None:
    resources = {"cpu": "4", "memory": "8Gi", "accelerator": {"type": "amd.com/gpu"}}
    with pytest.raises(InputError, match=r"steps.evaluate.resources.accelerator.type: 'amd.com/gpu' is Kubernetes'"):
        packages(spec_with(evaluate={"resources": resources}))


def test_a_spot_step_is_a_custom_job_on_the_smallest_machine_that_fits_and_keeps_its_retries_and_inputs() -> None:
    local, made = packages(spec_with(L4, train={"spot": True, "retries": 3}))
    inputs = made["components"]["comp-train"]["inputDefinitions"]["parameters"]
    (pool,) = inputs["worker_pool_specs"]["defaultValue"]
    assert pool["machine_spec"] == MACHINE
    assert inputs["strategy"]["defaultValue"] == "SPOT"
    assert pool["container_spec"]["image_uri"] == container(local, "train")["image"]
    assert container(made, "train")["image"] == "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0"
    assert made["root"] == local["root"]
    before = local["components"]["comp-train"]["inputDefinitions"]["parameters"]
    assert {name: inputs[name] for name in before} == before


def test_a_machine_type_is_taken_as_it_is_given_and_is_not_spot() -> None:
    _, made = packages(spec_with(evaluate={"machine_type": "n1-highmem-8"}))
    inputs = made["components"]["comp-evaluate"]["inputDefinitions"]["parameters"]
    assert inputs["worker_pool_specs"]["defaultValue"][0]["machine_spec"] == {"machine_type": "n1-highmem-8"}
    assert inputs["strategy"]["defaultValue"] == "STANDARD"


@pytest.mark.parametrize("step", ["preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy"])
def test_every_step_can_be_a_custom_job(step: str) -> None:
    _, made = packages(spec_with(**{step: {"spot": True}}))
    assert "worker_pool_specs" in made["components"][f"comp-{step}"]["inputDefinitions"]["parameters"]


def test_a_step_that_is_larger_than_any_machine_is_refused() -> None:
    resources = {"cpu": "200", "memory": "8Gi"}
    with pytest.raises(InputError, match=r"steps.evaluate.resources: cpu 200 .* or give steps.evaluate.machine_type"):
        packages(spec_with(evaluate={"spot": True, "resources": resources}))


def test_a_custom_job_is_what_googles_own_components_make_of_a_step() -> None:
    ours = compiled(fit)
    ours["deploymentSpec"]["executors"]["exec-fit"]["container"]["env"] = ENV
    settings = VertexSettings(service_account=ACCOUNT, network=NETWORK, encryption_key=KEY)
    as_custom_job(ours, "fit", MACHINE, True, settings)
    assert ours == yaml.safe_load((Path(__file__).parent / "library_step.yaml").read_text(encoding="utf-8"))


def test_a_custom_job_without_an_account_runs_as_the_pipeline_does() -> None:
    ours = compiled(fit)
    as_custom_job(ours, "fit", MACHINE, True, VertexSettings())
    account = ours["components"]["comp-fit"]["inputDefinitions"]["parameters"]["service_account"]
    assert account["defaultValue"] == "{{$.pipeline_service_account}}"


def test_steps_are_told_which_secrets_to_read_and_never_the_secrets() -> None:
    version = "projects/acme-ml/secrets/forge/versions/3"
    settings = VertexSettings.model_validate({**SETTINGS, "secrets": {"OSTINATO_FORGE_TOKEN": version}})
    local, made = packages(spec_with(train={"spot": True}), settings)
    for step in ("preprocess", "champion", "evaluate", "register", "deploy"):
        told = container(made, step)
        assert told["env"] == [{"name": "OSTINATO_FORGE_TOKEN_SECRET", "value": version}]
        assert told["command"] == [
            "python3",
            "-m",
            "pipelines.backends.vertex.secret_manager",
            *container(local, step)["command"],
        ]
    (pool,) = made["components"]["comp-train"]["inputDefinitions"]["parameters"]["worker_pool_specs"]["defaultValue"]
    assert pool["container_spec"]["env"] == [{"name": "OSTINATO_FORGE_TOKEN_SECRET", "value": version}]
    assert pool["container_spec"]["command"][:3] == ["python3", "-m", "pipelines.backends.vertex.secret_manager"]
    assert "env" not in container(made, "train")
