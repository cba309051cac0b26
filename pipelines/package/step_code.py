"""Which code decides each step of a model: the one source for the cache key, `ostinato affected` and the package.

A step is decided by the import closure of its face, ``components/<step>/component.py``. Preprocess and train also run
the code of the model's folder, so every file of it counts, and every module of the workspace that it imports; but for

- spec.yaml, whose parts are parameters of the steps,
- the rows that ``data.source`` and ``data.test`` name, which are known by the data's own fingerprint,
- a base model and a sentence encoder, of which a quick look decides, and the labels of a judge: they count where they
  are read.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from delivery.serving.runtime_table import OWN_TABLE
from delivery.serving.runtimes import runtime_of
from delivery.stores.base_model import base_state
from delivery.stores.sources import CONVERSATIONS, TABLES, is_local, local_path, resolve
from pipelines.package.imports import PROJECT, Sources, files_below
from training.errors import InputError
from training.folder import model_folder
from training.spec import ConversationSpec, ModelSpec
from training.spec.generation import BaseModelSpec

CACHED = ("preprocess", "train", "evaluate")
"""The steps that an earlier run may answer."""

Files = dict[str, str]
"""Hex digests by name, relative to the workspace or the project."""


def step_code(root: Path, spec: ModelSpec, sources: Sources | None = None) -> dict[str, str]:
    """``sha256:`` digest of all code that decides each cached step's result. Raises InputError for an unknown runtime
    and a model that is not there."""
    return {step: digest_of(step_files(root, spec, step, sources or Sources(root))) for step in CACHED}


def digest_of(files: Mapping[str, str]) -> str:
    """``sha256:`` over names and digests of files."""
    text = "".join(f"{name}\0{digest}\n" for name, digest in sorted(files.items()))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def step_files(root: Path, spec: ModelSpec, step: str, sources: Sources) -> Files:
    """Every file that decides one step, ``champion`` among them, besides what it is given. Raises as :func:`step_code`.

    The runtime that evaluate proves the model on is started as its entry of the table says, so that counts as code.
    """
    files = sources.closure([PROJECT / "components" / step / "component.py"])
    base, similarity = spec.training.base_model, spec.quality.similarity
    folder = model_folder(root, spec.name)
    if step in ("preprocess", "train"):
        files |= _own_code(spec, folder, sources)
    if step in ("train", "evaluate") and base:
        files |= _weights(base, folder, sources)
    if step == "evaluate":
        files |= _weights(similarity, folder, sources) if similarity else {}
        files |= {sources.name(path): sources.digest(path) for path in _labels(spec, folder)}
        files[OWN_TABLE] = hashlib.sha256(runtime_of(spec, root).model_dump_json().encode()).hexdigest()
    return files


def data_files(spec: ModelSpec, folder: Path) -> Iterator[Path]:
    """The local files with the rows of a model; none where they are missing, which the step that reads them says."""
    test = spec.data.test if isinstance(spec.data, ConversationSpec) else None
    formats = CONVERSATIONS if isinstance(spec.data, ConversationSpec) else TABLES
    for uri in filter(None, (spec.data.source, test)):
        if is_local(uri):
            with suppress(InputError):
                yield from (_plain(Path(path)) for path in resolve(uri, folder, formats).files)


def _own_code(spec: ModelSpec, folder: Path, sources: Sources) -> Files:
    """Of the model's folder: see above; and of what its code imports."""
    given = [folder / "spec.yaml", *data_files(spec, folder), *_labels(spec, folder)]
    places = [_place(model, folder) for model in (spec.training.base_model, spec.quality.similarity) if model]
    own = [
        path
        for path in files_below(folder)
        if path not in given and not any(path.is_relative_to(place) for place in places if place)
    ]
    code = sources.closure([path for path in own if path.suffix == ".py"], without=folder)
    return code | {sources.name(path): sources.digest(path) for path in own}


def _labels(spec: ModelSpec, folder: Path) -> list[Path]:
    """The judge's labels, where there is a judge that has some."""
    judge = spec.quality.judge
    path = folder / judge.labels if judge and judge.labels else None
    return [path] if path and path.is_file() else []


def _place(model: BaseModelSpec, folder: Path) -> Path | None:
    """The local folder or file of a model that another was made from; None where it is elsewhere."""
    path = _plain(local_path(model.source, folder))
    return path if is_local(model.source) and not model.on_hub and path.exists() else None


def _plain(path: Path) -> Path:
    """Without ``..``; links are kept, so that a file has one name."""
    return Path(os.path.normpath(path))


def _weights(model: BaseModelSpec, folder: Path, sources: Sources) -> Files:
    place = _place(model, folder)
    return {sources.name(place): base_state(model, folder)} if place else {}
