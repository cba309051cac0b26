"""What a package for Kubeflow says besides the pipeline: where the steps' pods run, and what is mounted into them.

kfp-kubernetes writes it while the pipeline is authored, as the package's second document; other backends refuse that.
"""

from typing import Any

from kfp.dsl import PipelineTask

from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from training.errors import InputError, did_you_mean
from training.spec import ModelSpec

_TOLERATION = {
    "key": "key",
    "operator": "operator",
    "value": "value",
    "effect": "effect",
    "tolerationSeconds": "toleration_seconds",
}
"""Fields of a toleration in a pod's spec, and what kfp-kubernetes calls them."""
OPERATORS = ("Equal", "Exists")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def ask_kubernetes(task: PipelineTask, step: str, spec: ModelSpec, settings: KubeflowSettings) -> PipelineTask:
    """Ask for the nodes, secrets and volumes of a step's pod; to be called for every task of the pipeline.

    Raises InputError for an accelerator that Kubernetes would never find, for a step on spot machines where the
    settings do not say which those are, and for a toleration that is none.
    """
    from kfp import kubernetes

    check_accelerator(step, spec)
    selector, tolerations = dict(settings.node_selector), list(_tolerations("tolerations", settings.tolerations))
    if spec.steps.of(step).spot:
        if not settings.spot_node_selector and not settings.spot_tolerations:
            raise InputError(
                f"steps.{step}.spot is true, and the settings do not say which nodes are spot machines; set "
                "kubeflow.spot_node_selector or kubeflow.spot_tolerations"
            )
        selector |= settings.spot_node_selector
        tolerations += _tolerations("spot_tolerations", settings.spot_tolerations)
    for name, value in sorted(selector.items()):
        kubernetes.add_node_selector(task, name, value)
    for toleration in tolerations:
        kubernetes.add_toleration(task, **toleration)
    for variable, source in sorted(settings.secrets.items()):
        secret, key = source.split("/")
        kubernetes.use_secret_as_env(task, secret, {key: variable})
    for folder, secret in sorted(settings.secret_files.items()):
        kubernetes.use_secret_as_volume(task, secret, folder)
    for folder, claim in sorted(settings.volumes.items()):
        kubernetes.mount_pvc(task, claim, folder)
    return task


def check_accelerator(step: str, spec: ModelSpec) -> None:
    """Raises InputError unless a step's accelerator is a Kubernetes resource: Kubeflow's driver takes the name as it
    is, and a pod that asks for any other is never scheduled."""
    field, resources = spec.resources_of(step)
    accelerator = resources.accelerator if resources else None
    if accelerator and "/" not in accelerator.type:
        raise InputError(
            f"{field}.accelerator.type is {accelerator.type!r}, which is a name of Vertex AI's; for Kubeflow write the "
            "node's resource, such as nvidia.com/gpu, and keep Vertex AI's name in vertex_type"
        )


def _tolerations(field: str, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tolerations as kfp-kubernetes takes them."""
    converted = []
    for i, toleration in enumerate(given):
        where = f"kubeflow.{field}.{i}"
        for name in toleration:
            if name not in _TOLERATION:
                raise InputError(f"{where}: a toleration has no {name!r}. {did_you_mean(name, _TOLERATION)}")
        for name, known in (("operator", OPERATORS), ("effect", EFFECTS)):
            if toleration.get(name) not in (None, *known):
                raise InputError(f"{where}.{name} is {toleration[name]!r}; write one of {', '.join(known)}")
        converted.append({_TOLERATION[name]: value for name, value in toleration.items()})
    return converted
