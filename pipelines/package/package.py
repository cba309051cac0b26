"""The compiled package of a model: what it depends on, and a cache, since compiling imports kfp for half a second."""

import hashlib
import json
import os
import sysconfig
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import components
import delivery
import pipelines
import training
from delivery.serving.runtimes import check_runtime, export_of, runtime_of
from delivery.stores.base_model import base_state
from training.folder import code_digest, model_folder
from training.spec.model import ModelSpec

if TYPE_CHECKING:
    from pipelines.settings.settings import Settings


def step_code(root: Path, spec: ModelSpec) -> dict[str, str]:
    """Digest of all code that decides a cached step's result: the step's folder, what it shares, the model's folder.

    The runtime that evaluate proves the model on is started as its entry of the table says, so that counts as code.
    """
    ours, contract = Path(components.__file__).parent, Path(training.__file__).parent
    library = Path(delivery.__file__).parent
    shared = [library, ours / "artifacts.py", contract / "spec", *sorted(contract.glob("*.py"))]
    own = model_folder(root, spec.name)
    talks = spec.task == "generation"
    fine_tuning = [contract / "finetuning"] if talks else []
    judging = code_digest(ours / "evaluate", *shared)
    started = runtime_of(spec, root).model_dump_json()
    given = _given_files(spec, own)
    return {
        "preprocess": code_digest(ours / "preprocess", own, *shared),
        "train": _with(code_digest(ours / "train", own, *fine_tuning, *shared), *given[:1]),
        "evaluate": _with(judging, started, *given),
    }


def _with(digest: str, *more: str) -> str:
    """The digest itself without more, else one of all."""
    return "sha256:" + hashlib.sha256("".join((digest, *more)).encode()).hexdigest() if more else digest


def _given_files(spec: ModelSpec, own: Path) -> list[str]:
    """What else of a language model's folder decides: a local base model, sentence encoder, the judge's labels."""
    if spec.training.base_model is None:
        return []
    similarity, judge = spec.quality.similarity, spec.quality.judge
    labels = own / judge.labels if judge and judge.labels else None
    return [
        base_state(spec.training.base_model, own),
        base_state(similarity, own) if similarity else "",
        hashlib.sha256(labels.read_bytes()).hexdigest() if labels and labels.is_file() else "",
    ]


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
    target: str,
    settings: "Settings",
    fresh: Collection[str] = (),
) -> Path:
    """The IR package as a file in ``cache``, compiled only when something that it is made of changed.

    target: where it is to run; ``settings`` say what that place is to know. fresh: steps that no earlier run may
    answer. Raises InputError if the serving runtime that the spec names can't load what would be trained, or if the
    spec asks for what the target can't do.
    """
    from pipelines.package.for_backend import compile_for, settings_of

    check_runtime(spec, root)
    code, export = step_code(root, spec), export_of(spec, root)
    ours = Path(pipelines.__file__).parent
    house = code_digest(ours / "continuous_training.py", Path(components.__file__).parent)
    transforms = [] if target == "local" else [ours / "backends" / target]
    there = code_digest(ours / "package" / "for_backend.py", *transforms)
    place = [target, settings_of(target, settings), there, sorted(fresh)]
    key = json.dumps([spec.digest(), code, export, image, until, house, libraries(), *place], sort_keys=True)
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.yaml"
    if path.is_file():
        return path

    text = compile_for(target, spec, code, image, until, export, settings, fresh)
    cache.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path
