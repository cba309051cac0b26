"""A model folder from the URI that names it, with its digest compared."""

import shutil
from collections.abc import Callable
from pathlib import Path

from delivery.models.folder import model_digest
from delivery.models.links import link_or_copy
from training.errors import OstinatoError

PROXIED = "mlflow-artifacts:"
OCI = "oci://"


def fetch_model(model: str, version: str, storage_uri: str, digest: str, target: Path, tracking_uri: str = "") -> None:
    """Copy a version's files into an existing folder. Raises OstinatoError unless they are all there and the same.

    tracking_uri: of the MLflow server, for a ``mlflow-artifacts:/`` URI of its registry.
    """
    where = f"the live model of {model}, version {version} at {storage_uri},"
    fix = f"`ostinato rollback {model}`, or register it again"
    try:
        download_folder(storage_uri, target, tracking_uri)
    except FileNotFoundError as error:
        raise OstinatoError(f"{where} is gone from its store; {fix}") from error
    except ImportError as error:
        raise OstinatoError(f"{where} can't be fetched: {error}; install ostinato[s3] or ostinato[gcs]") from error
    except OstinatoError as error:
        raise OstinatoError(f"{where} can't be fetched: {error}") from error
    except (OSError, ValueError) as error:
        raise OstinatoError(f"{where} can't be fetched: {error}; check the store and its credentials") from error
    fetched = model_digest(target)
    if fetched != digest:
        raise OstinatoError(f"{where} has digest {fetched}, but its manifest says {digest}; {fix}")


def download_folder(
    uri: str, target: Path, tracking_uri: str = "", only: Callable[[str], bool] = lambda name: True
) -> None:
    """Copy all files under a ``file://``, ``oci://…@sha256:…``, ``mlflow-artifacts:/`` or fsspec URI into a folder.

    target exists. only: whether a file of a bucket is wanted, by its path below the URI. Raises FileNotFoundError if
    there are none, ImportError if the store's package is not installed, OSError or ValueError if the store can't be
    read, OstinatoError if a registry refuses or sends other bytes.
    """
    if uri.startswith("file://"):
        shutil.copytree(uri.removeprefix("file://"), target, dirs_exist_ok=True, copy_function=link_or_copy)
        return
    if uri.startswith(OCI):
        from delivery.stores.image import pull_model

        pull_model(uri, target)
        return
    if uri.startswith(PROXIED):
        from delivery.stores.mlflow_proxy import download

        download(tracking_uri, uri, target)
        return
    from fsspec.core import url_to_fs

    store, path = url_to_fs(uri)
    files = store.find(path)
    if not files:
        raise FileNotFoundError(uri)
    for file in files:
        name = file.removeprefix(path).lstrip("/")
        if not only(name):
            continue
        local = target / name
        local.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(file, str(local))
