"""The compiled package of a model: what it depends on, and a cache, since compiling imports kfp for half a second."""

import hashlib
import json
import os
import subprocess
import sysconfig
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from delivery.addresses import redact
from delivery.connections import Connections
from delivery.serving.runtimes import check_runtime, export_of
from pipelines.backends.local.record import write_text
from pipelines.backends.table import find_backend
from pipelines.package.imports import Sources
from pipelines.package.step_code import digest_of, step_code
from training.spec import ModelSpec

if TYPE_CHECKING:
    from pipelines.settings.settings import Settings
CODE_VERSION = "OSTINATO_CODE_VERSION"
"""Variable that the project's image holds: there is no git history in it."""


def libraries() -> str:
    """Names and versions of every installed distribution, as one text: part of every cache key.

    Read from the names of the metadata folders: a millisecond, where importlib.metadata takes a tenth of a second.
    """
    site = sysconfig.get_path("purelib")
    return " ".join(sorted(name for name in os.listdir(site) if name.endswith(".dist-info")))


def package_file(
    root: Path,
    spec: ModelSpec,
    *,
    image: str,
    until: str,
    cache: Path,
    backend: str,
    settings: "Settings",
    fresh: Collection[str] = (),
) -> Path:
    """The IR package as a file in ``cache``, compiled only when something that it is made of changed.

    backend: where it is to run; ``settings`` say what that is to know. fresh: steps that no earlier run may answer.
    Raises InputError for an unknown backend, if the serving runtime that the spec names can't load what would be
    trained, or if the spec asks for what the backend can't do.
    """
    check_runtime(spec, root)
    find_backend(backend)
    sources = Sources(root, cache)
    code, export = step_code(root, spec, sources), export_of(spec, root)
    compiler = sources.module("pipelines.package.package")
    assert compiler
    compiled_by = digest_of(sources.closure([compiler]))
    sources.keep()
    defaults = parameter_defaults(backend, settings)
    destination = [backend, settings.of_backend(backend).model_dump_json(), compiled_by, sorted(fresh), defaults]
    key = json.dumps([spec.digest(), code, export, image, until, libraries(), *destination], sort_keys=True)
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.yaml"
    if path.is_file():
        return path

    cache.mkdir(parents=True, exist_ok=True)
    write_text(path, compile_for(backend, spec, code, image, until, export, settings, fresh))
    return path


def parameter_defaults(backend: str, settings: "Settings") -> dict[str, str]:
    """What a run is given that somebody starts in a remote backend's UI: the places that the settings name."""
    if find_backend(backend).client is None:
        return {}
    places = {field.name: getattr(settings, field.name) for field in fields(Connections)}
    return {name: place for name, place in places.items() if place and redact(place) == place}


def compile_for(
    backend: str,
    spec: ModelSpec,
    code: Mapping[str, str],
    image: str,
    until: str,
    export: str,
    settings: "Settings",
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
    defaults = parameter_defaults(backend, settings)
    if transform is None and not fresh and not defaults:
        return package
    pipeline, *platform = yaml.safe_load_all(package)
    for name, value in defaults.items():
        pipeline["root"]["inputDefinitions"]["parameters"][name]["defaultValue"] = value
    for step, task in pipeline["root"]["dag"]["tasks"].items():
        if step in fresh:
            task["cachingOptions"] = {}
    if transform:
        pipeline = transform(pipeline, spec, section)
    return yaml.safe_dump_all([pipeline, *platform], sort_keys=True, width=10_000)


def code_version(root: Path) -> str:
    """The commit of the checkout, with ``-dirty`` where files that it tracks differ; outside git that of the image, or
    ``unknown``."""
    otherwise = os.environ.get(CODE_VERSION) or "unknown"
    try:
        process = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return otherwise
    return process.stdout.strip() if process.returncode == 0 else otherwise
