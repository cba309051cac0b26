"""One authored pipeline, a package for each place: what differs, and nothing else.

The laptop takes the package as it is compiled. Vertex AI takes its own names of accelerators, and refuses a second
document; Kubeflow takes one, with what Kubernetes is to know of each step.
"""

from collections.abc import Collection, Mapping

import yaml

from pipelines.settings.settings import Settings
from training.errors import InputError, did_you_mean
from training.spec.model import ModelSpec

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


def compile_for(
    target: str,
    spec: ModelSpec,
    code: Mapping[str, str],
    image: str,
    until: str,
    export: str,
    settings: Settings,
    fresh: Collection[str] = (),
) -> str:
    """The package as the target takes it. fresh: steps that no earlier run may answer, whatever the spec says.

    Raises InputError for what the target can't do.
    """
    from pipelines.continuous_training import compile_package

    package = compile_package(spec, code, image, until, export, settings.kubeflow if target == "kubeflow" else None)
    if target != "vertex" and not fresh:
        return package
    pipeline, *rest = yaml.safe_load_all(package)
    for step, task in pipeline["root"]["dag"]["tasks"].items():
        if step in fresh:
            task["cachingOptions"] = {}
    if target == "vertex":
        from pipelines.backends.vertex.target import for_vertex

        pipeline = for_vertex(pipeline, spec, settings.vertex)
    return yaml.safe_dump_all([pipeline, *rest], sort_keys=True, width=10_000)
