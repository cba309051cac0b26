"""The champion step: bring the model folder that git says is live, and make sure that it is the one."""

import shutil
from pathlib import Path

from components.deploy.manifest import LiveModel
from components.deploy.release import live
from components.train.model_folder import model_digest
from training.errors import OstinatoError


def fetch_champion(model: str, manifests_remote: str, target: Path) -> LiveModel | None:
    """Fill the folder ``target`` with the live model's files and return its manifest; None and no files without one.

    Raises OstinatoError if the files are gone, can't be fetched, or are not the ones that were released.
    """
    target.mkdir(parents=True, exist_ok=True)
    found = live(manifests_remote, model)
    if found is None:
        return None
    fetch_model(model, found.version, found.storage_uri, found.digest, target)
    return found


def fetch_model(model: str, version: str, storage_uri: str, digest: str, target: Path) -> None:
    """Copy a version's files into an existing folder. Raises OstinatoError unless they are all there and the same."""
    where = f"the live model of {model}, version {version} at {storage_uri},"
    fix = f"`ostinato rollback {model}`, or register it again"
    try:
        download_folder(storage_uri, target)
    except FileNotFoundError as error:
        raise OstinatoError(f"{where} is gone from its store; {fix}") from error
    except ImportError as error:
        raise OstinatoError(f"{where} can't be fetched: {error}; install ostinato[s3] or ostinato[gcs]") from error
    except (OSError, ValueError) as error:
        raise OstinatoError(f"{where} can't be fetched: {error}; check the store and its credentials") from error
    found = model_digest(target)
    if found != digest:
        raise OstinatoError(f"{where} has digest {found}, but its manifest says {digest}; {fix}")


def download_folder(uri: str, target: Path) -> None:
    """Copy all files under a ``file://`` or fsspec URI into an existing folder.

    Raises FileNotFoundError if there are none, ImportError if the store's package is not installed, OSError or
    ValueError if the store can't be read.
    """
    if uri.startswith("file://"):
        shutil.copytree(uri.removeprefix("file://"), target, dirs_exist_ok=True)
        return
    from fsspec.core import url_to_fs

    store, path = url_to_fs(uri)
    files = store.find(path)
    if not files:
        raise FileNotFoundError(uri)
    for file in files:
        local = target / file.removeprefix(path).lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(file, str(local))
