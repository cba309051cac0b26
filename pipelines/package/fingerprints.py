"""What decides each step of each model, in the code that PYTHONPATH names: run by `ostinato affected`, once a commit.

A program of its own, given the folder with that commit's files, so that a commit's digests are made by its own code.
Prints JSON: for each model the fingerprint of each step, or `error`.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

OWN_CODE = (".py", ".j2", ".md")
"""What the digests of step_code see of a model's folder."""


def fingerprints(root: Path) -> dict[str, dict[str, str]]:
    """Of every model of a workspace. A model whose spec or runtime is wrong has only `error`."""
    from training.errors import OstinatoError
    from training.folder import model_names

    found: dict[str, dict[str, str]] = {}
    for name in model_names(root):
        try:
            found[name] = {step: _digest(parts) for step, parts in _parts(root, name).items()}
        except OstinatoError as error:
            found[name] = {"error": str(error)}
    return found


def _parts(root: Path, name: str) -> dict[str, Any]:
    """All that decides each step's result besides the steps before it.

    The first three are as the pipeline hands them out, without the digest of the whole spec, which evaluate records and
    does not decide by. Of the two that are never cached it is the part of the spec that is written down outside.
    """
    from delivery.serving.runtimes import export_of
    from pipelines.package.package import step_code
    from training.folder import code_digest, model_folder, model_spec

    spec = model_spec(root, name)
    code, folder, ours = step_code(root, spec), model_folder(root, name), root / "components"
    data, base = spec.data.canonical_json(), spec.training.base_model
    judge = getattr(spec.quality, "judge", None)
    of_judge = folder / judge.labels if judge and judge.labels else None
    kept = ["description", "owner", "registry", "task"]
    parts: dict[str, list[Any]] = {
        "preprocess": [name, data, code["preprocess"], _given(folder, of_judge), _libraries(root, spec.task)],
        "train": [spec.task, data, spec.training.canonical_json(), export_of(spec, root), code["train"]],
        "evaluate": [
            spec.task,
            data,
            spec.quality.canonical_json(),
            spec.serving.proven_json(),
            base.canonical_json() if base else "",
            code["evaluate"],
        ],
        "register": [spec.model_dump(mode="json", include=set(kept))],
        "deploy": [spec.model_dump(mode="json", include={"serving", "release"})],
    }
    if ours.is_dir():
        parts["preprocess"].append(code_digest(root / "pipelines" / "continuous_training.py"))
        parts["evaluate"].append(code_digest(ours / "champion"))
        shared = sorted(ours.glob("*.py"))
        parts["register"].append(code_digest(ours / "register", ours / "stores", ours / "trust", *shared))
        parts["deploy"].append(code_digest(ours / "deploy", *shared))
    return parts


def _given(folder: Path, of_judge: Path | None) -> list[str]:
    """The files of a model's folder that are no code: its data. The judge's labels are in the code of evaluate."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in OWN_CODE]
    return [
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
        if path not in (folder / "spec.yaml", of_judge)
    ]


def _libraries(root: Path, task: str) -> list[str]:
    """The locked libraries and the image that they are in, without comments."""
    names = ["requirements.lock", "requirements-image.lock", "Dockerfile"]
    names += ["requirements-llm.lock", "requirements-cuda.lock"] if task == "generation" else []
    lines: list[str] = []
    for path in (root / name for name in names):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return lines


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    print(json.dumps(fingerprints(Path(sys.argv[1]))))
