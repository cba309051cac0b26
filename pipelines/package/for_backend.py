"""One authored pipeline, a package for each backend: what differs, and nothing else.

This machine takes the package as it is compiled; other backends say in their rows what differs.
"""

from collections.abc import Collection, Mapping

import yaml

from pipelines.backends.table import find_backend
from pipelines.settings.settings import Settings
from training.spec import ModelSpec


def compile_for(
    backend: str,
    spec: ModelSpec,
    code: Mapping[str, str],
    image: str,
    until: str,
    export: str,
    settings: Settings,
    fresh: Collection[str] = (),
) -> str:
    """The package as the backend takes it. fresh: steps that no earlier run may answer, whatever the spec says.

    Raises InputError for an unknown backend, and for what it can't do.
    """
    from pipelines.continuous_training import compile_package

    row, section = find_backend(backend), settings.of_backend(backend)
    prepare_task, transform = row.prepare_task, row.transform
    prepare = None
    if prepare_task:
        prepare = lambda task, step: prepare_task(task, step, spec, section)  # noqa: E731
    package = compile_package(spec, code, image, until, export, prepare)
    if transform is None and not fresh:
        return package
    pipeline, *platform = yaml.safe_load_all(package)
    for step, task in pipeline["root"]["dag"]["tasks"].items():
        if step in fresh:
            task["cachingOptions"] = {}
    if transform:
        pipeline = transform(pipeline, spec, section)
    return yaml.safe_dump_all([pipeline, *platform], sort_keys=True, width=10_000)
