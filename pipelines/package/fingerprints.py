"""What decides each step of each model, in the code that PYTHONPATH names: run by `ostinato affected`, once a commit.

A program of its own, given the folder with that commit's files, so that a commit's digests are made by its own code.
Prints JSON: for each model the files of each step with their digests, or `error`.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.package.imports import Sources
    from training.spec import ModelSpec

Steps = dict[str, dict[str, str]]
"""By step: digests by file name. That of spec.yaml is of the parts that decide the step, that of a lock is without its
comments. Or only `error`: by the reason why they can't be had."""
ALL_TASKS = ("requirements.lock", "requirements-image.lock", "Dockerfile")
LANGUAGE = ("requirements-llm.lock", "requirements-cuda.lock")


def fingerprints(root: Path) -> dict[str, Steps]:
    """Of every model of a workspace. A model whose spec or runtime is wrong has only `error`."""
    from pipelines.package.imports import Sources
    from training.errors import OstinatoError
    from training.folder import model_names, model_spec

    models: dict[str, Steps] = {}
    sources = Sources(root)
    for name in model_names(root):
        try:
            models[name] = step_fingerprints(root, model_spec(root, name), sources)
        except OstinatoError as error:
            models[name] = {"error": {str(error): ""}}
    return models


def step_fingerprints(root: Path, spec: "ModelSpec", sources: "Sources") -> Steps:
    """All that decides each step's result besides the steps before it. The champion is looked up for evaluate."""
    from pipelines.package.step_code import data_files, step_files
    from training.folder import model_folder

    folder = model_folder(root, spec.name)
    steps = {
        step: step_files(root, spec, step, sources) | {sources.name(folder / "spec.yaml"): _digest(part)}
        for step, part in _parts(root, spec).items()
    }
    steps["evaluate"] |= step_files(root, spec, "champion", sources)
    pipeline = sources.module("pipelines.continuous_training")
    rows = [path for path in (*data_files(spec, folder), pipeline) if path and path.is_relative_to(root)]
    steps["preprocess"] |= {sources.name(path): sources.digest(path) for path in rows} | _libraries(
        root, spec.is_language_model
    )
    return steps


def _parts(root: Path, spec: "ModelSpec") -> dict[str, Any]:
    """The parts of the spec that decide each step.

    The first three are as the pipeline hands them out, without the digest of the whole spec, which evaluate records and
    does not decide by. Of the two that are never cached it is the part of the spec that is written down outside.
    """
    from delivery.serving.runtimes import export_of

    data, base = spec.data.canonical_json(), spec.training.base_model
    judged = [spec.quality.canonical_json(), spec.serving.proven_json(), base.canonical_json() if base else ""]
    return {
        "preprocess": [spec.name, data],
        "train": [spec.task, data, spec.training.canonical_json(), export_of(spec, root)],
        "evaluate": [spec.task, data, *judged],
        "register": spec.model_dump(mode="json", include={"description", "owner", "registry", "task"}),
        "deploy": spec.model_dump(mode="json", include={"serving", "release"}),
    }


def _libraries(root: Path, is_language_model: bool) -> dict[str, str]:
    """The locked libraries and the image that they are in, without comments."""
    names = (*ALL_TASKS, *(LANGUAGE if is_language_model else ()))
    return {path.name: _digest(_lines(path)) for path in (root / name for name in names) if path.is_file()}


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    print(json.dumps(fingerprints(Path(sys.argv[1]))))
