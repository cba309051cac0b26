"""The package for Kubeflow: what kfp-kubernetes writes beside the pipeline, and what is refused at compile time."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.kubeflow.platform_document import ask_kubernetes
from training.errors import InputError
from training.folder import model_spec
from training.spec import ModelSpec

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "node_selector": {"pool": "steps"},
    "tolerations": [{"key": "steps", "operator": "Exists", "effect": "NoSchedule"}],
    "spot_node_selector": {"spot": "true"},
    "spot_tolerations": [{"key": "spot", "operator": "Equal", "value": "true", "tolerationSeconds": 30}],
    "secrets": {
        "OSTINATO_GIT_TOKEN": "forge/token",
        "AWS_SECRET_ACCESS_KEY": "store/secret",
        "AWS_ACCESS_KEY_ID": "store/id",
    },
    "secret_files": {"/secrets/forge": "forge"},
    "volumes": {"/lake": "lake"},
}


def spec_with(**changes: Any) -> ModelSpec:
    whole = model_spec(ROOT, "demand-forecaster").model_dump()
    for path, value in changes.items():
        *folders, last = path.split("__")
        part = whole
        for folder in folders:
            part = part[folder]
        part[last] = value
    return ModelSpec.model_validate(whole)


def compiled(folder: Path, spec: ModelSpec, step: str = "train", **settings: Any) -> dict[str, Any]:
    """What Kubernetes is asked for the step by a package with it alone."""

    @dsl.component(base_image="ostinato", install_kfp_package=False)
    def work():
        pass

    @dsl.pipeline(name="one-step")
    def pipeline():
        ask_kubernetes(work(), step, spec, KubeflowSettings(**settings))

    file = folder / "package.yaml"
    compiler.Compiler().compile(pipeline, str(file))
    documents = list(yaml.safe_load_all(file.read_text()))
    if len(documents) == 1:
        return {}
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return next(iter(executors.values()))


def test_every_setting_is_in_the_packages_second_document(tmp_path: Path) -> None:
    asked = compiled(tmp_path, spec_with(), **SETTINGS)
    assert asked["nodeSelector"] == {"labels": {"pool": "steps"}}
    assert asked["tolerations"] == [{"key": "steps", "operator": "Exists", "effect": "NoSchedule"}]
    env = {(one["secretName"], *one["keyToEnv"][0].values()) for one in asked["secretAsEnv"]}
    assert env == {
        ("forge", "OSTINATO_GIT_TOKEN", "token"),
        ("store", "AWS_ACCESS_KEY_ID", "id"),
        ("store", "AWS_SECRET_ACCESS_KEY", "secret"),
    }
    assert [(one["secretName"], one["mountPath"]) for one in asked["secretAsVolume"]] == [("forge", "/secrets/forge")]
    assert [(one["constant"], one["mountPath"]) for one in asked["pvcMount"]] == [("lake", "/lake")]


def test_without_settings_there_is_no_second_document(tmp_path: Path) -> None:
    assert compiled(tmp_path, spec_with()) == {}


def test_only_a_step_that_says_spot_goes_to_the_spot_nodes(tmp_path: Path) -> None:
    spec = spec_with(steps__train__spot=True)
    asked = compiled(tmp_path, spec, "train", **SETTINGS)
    assert asked["nodeSelector"] == {"labels": {"pool": "steps", "spot": "true"}}
    assert asked["tolerations"][1] == {"key": "spot", "operator": "Equal", "value": "true", "tolerationSeconds": "30"}
    assert compiled(tmp_path, spec, "evaluate", **SETTINGS)["nodeSelector"] == {"labels": {"pool": "steps"}}
    with pytest.raises(InputError, match=r"steps.train.spot is true.*set kubeflow.spot_node_selector"):
        compiled(tmp_path, spec, "train")


def test_a_name_of_vertex_ai_for_an_accelerator_is_refused_with_the_field(tmp_path: Path) -> None:
    vertex = {"cpu": "4", "memory": "16Gi", "accelerator": {"type": "NVIDIA_TESLA_T4"}}
    for field, step in (("training__resources", "train"), ("steps__evaluate__resources", "evaluate")):
        where = field.replace("__", ".") + ".accelerator.type"
        with pytest.raises(InputError, match=rf"{where} is 'NVIDIA_TESLA_T4'.*nvidia.com/gpu.*vertex_type"):
            compiled(tmp_path, spec_with(**{field: vertex}), step)
    both = {"cpu": "4", "memory": "16Gi", "accelerator": {"type": "nvidia.com/gpu", "vertex_type": "NVIDIA_TESLA_T4"}}
    assert compiled(tmp_path, spec_with(training__resources=both)) == {}


@pytest.mark.parametrize(
    ("toleration", "message"),
    [
        ({"efect": "NoSchedule"}, r"kubeflow.tolerations.0: a toleration has no 'efect'. Did you mean 'effect'"),
        ({"effect": "Never"}, r"kubeflow.tolerations.0.effect is 'Never'; write one of NoSchedule"),
        ({"operator": "In"}, r"kubeflow.tolerations.0.operator is 'In'"),
    ],
)
def test_a_toleration_that_kubernetes_does_not_know_is_refused(
    tmp_path: Path, toleration: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compiled(tmp_path, spec_with(), tolerations=[toleration])
