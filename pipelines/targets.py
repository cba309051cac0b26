"""One authored pipeline, a package for each place: what differs, and nothing else.

The laptop takes the package as it is compiled. Vertex AI takes its own names of accelerators, and refuses a second
document; Kubeflow takes one, with what Kubernetes is to know of each step.
"""

from typing import Any

import yaml

from pipelines.settings import Settings
from training.errors import InputError, did_you_mean
from training.spec import ModelSpec

TARGETS = ("local", "kubeflow", "vertex")


def check_target(target: str) -> str:
    """The target itself. Raises InputError for an unknown one."""
    if target not in TARGETS:
        raise InputError(f"--target {target!r} is no place to run. {did_you_mean(target, TARGETS)}")
    return target


def settings_of(target: str, settings: Settings) -> str:
    """All that the settings put into the package for a target, as text."""
    section = {"kubeflow": settings.kubeflow, "vertex": settings.vertex}.get(target)
    return "" if section is None else section.model_dump_json()


def retarget(package: str, target: str, spec: ModelSpec, settings: Settings) -> str:
    """The compiled package as the target takes it. Raises InputError for what the target can't do."""
    if target == "local":
        return package
    ir: dict[str, Any] = yaml.safe_load(package)
    if target == "vertex":
        from pipelines.backends.vertex.target import for_vertex

        documents = [for_vertex(ir, spec, settings.vertex)]
    else:
        from pipelines.backends.kubeflow.target import for_kubeflow

        changed, platform = for_kubeflow(ir, spec, settings.kubeflow)
        documents = [changed, *([platform] if platform else [])]
    return yaml.safe_dump_all(documents, sort_keys=True, width=10_000)
