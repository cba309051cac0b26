"""The compiled package of a model: what it depends on, and a cache, since compiling imports kfp for half a second."""

import hashlib
import json
import os
import sysconfig
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.serving.runtimes import check_runtime, export_of
from pipelines.backends.local.record import write_text
from pipelines.backends.table import find_backend
from pipelines.package.imports import Sources
from pipelines.package.step_code import digest_of, step_code
from training.spec import ModelSpec

if TYPE_CHECKING:
    from pipelines.settings.settings import Settings


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
    from pipelines.package.for_backend import compile_for

    check_runtime(spec, root)
    find_backend(backend)
    sources = Sources(root, cache)
    code, export = step_code(root, spec, sources), export_of(spec, root)
    compiler = sources.module("pipelines.package.for_backend")
    assert compiler
    compiled_by = digest_of(sources.closure([compiler]))
    sources.keep()
    destination = [backend, settings.of_backend(backend).model_dump_json(), compiled_by, sorted(fresh)]
    key = json.dumps([spec.digest(), code, export, image, until, libraries(), *destination], sort_keys=True)
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.yaml"
    if path.is_file():
        return path

    cache.mkdir(parents=True, exist_ok=True)
    write_text(path, compile_for(backend, spec, code, image, until, export, settings, fresh))
    return path
