"""The compiled package as Vertex AI takes it: its names of accelerators, machines of a step's own, secrets."""

import copy
from typing import Any

from pipelines.backends.vertex.custom_step import as_custom_job
from pipelines.backends.vertex.machines import machine_for, machines_with
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.resources import StepAccelerator, StepResources

WRAPPED = ["python3", "-m", "pipelines.backends.vertex.secret_manager"]
"""Puts secrets into its environment, then becomes the command that follows."""


def for_vertex(ir: dict[str, Any], spec: ModelSpec, settings: VertexSettings) -> dict[str, Any]:
    """The package for Vertex AI; the one for the laptop is left as it is.

    Raises InputError, naming the field, for an accelerator that Vertex AI does not name so, or a machine that is not
    to be had.
    """
    package = copy.deepcopy(ir)
    for step in package["root"]["dag"]["tasks"]:
        component = package["components"][f"comp-{step}"]
        container = package["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        field, resources = requested_resources(spec, step)
        _name_accelerator(container, resources, field)
        _add_secrets(container, settings)
        options = spec.steps.of(step)
        if options.spot or options.machine_type:
            accelerator = resources.accelerator
            machine_type = options.machine_type or machine_for(resources, field, f"steps.{step}.machine_type")
            machine: dict[str, Any] = {"machine_type": machine_type}
            if accelerator:
                machine |= {"accelerator_type": accelerator.type, "accelerator_count": accelerator.count}
            as_custom_job(package, step, machine, options.spot, settings)
    return package


def requested_resources(spec: ModelSpec, step: str) -> tuple[str, StepResources]:
    """The field of the spec where a step's resources are, and these with Vertex AI's name of the accelerator.

    Raises InputError for an accelerator without one.
    """
    field, own = spec.resources_of(step)
    resources = own or StepResources()
    accelerator = resources.accelerator
    if accelerator is None:
        return field, StepResources(cpu=resources.cpu, memory=resources.memory)
    if "/" in accelerator.type and not accelerator.vertex_type:
        raise InputError(
            f"{field}.accelerator.type: {accelerator.type!r} is Kubernetes' name; give Vertex AI's as well, in "
            f"{field}.accelerator.vertex_type, such as NVIDIA_L4"
        )
    named = StepAccelerator(type=accelerator.vertex_type or accelerator.type, count=accelerator.count)
    return field, StepResources(cpu=resources.cpu, memory=resources.memory, accelerator=named)


def _name_accelerator(container: dict[str, Any], resources: StepResources, field: str) -> None:
    """Raises InputError for one that Vertex AI does not have."""
    if resources.accelerator:
        machines_with(resources, field, "another")
        kind = resources.accelerator.type
        container["resources"]["accelerator"] |= {"type": kind, "resourceType": kind}


def _add_secrets(container: dict[str, Any], settings: VertexSettings) -> None:
    """A step can't mount secrets: it is told which versions to read, and reads them when it starts."""
    if settings.secrets:
        container["command"] = [*WRAPPED, *container["command"]]
        named = [{"name": f"{name}_SECRET", "value": version} for name, version in sorted(settings.secrets.items())]
        container["env"] = [*container.get("env", []), *named]
