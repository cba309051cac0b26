"""Which storage URI a manifest names: one that can't move, that KServe can fetch, and where the model is.

The registry's own URI is named as it is. One behind MLflow's proxy is mapped to where the server keeps its files, and
looked at first, since nobody has used that address yet. With ``serving.oci_repository`` the model is pushed as an
image.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from delivery.addresses import without_credentials
from delivery.connections import Connections
from delivery.kserve.manifest import LiveModel
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.registry.versions import ModelVersion
from delivery.stores.fetch import PROXIED, download_folder
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

DESTINATION = "OSTINATO_ARTIFACTS_DESTINATION"
DESTINATIONS = re.compile(r"(gs://|s3://|file:///)[^\s@?#]+")


def manifest_uri(
    spec: ModelSpec, connections: Connections, version: ModelVersion, live: Callable[[], LiveModel | None]
) -> str:
    """The storage URI for the manifest of a registered version; an image is pushed first where the spec wants one.

    live: reads what git says is live, since what was committed once is not looked at again. Raises InputError if the
    version is behind a proxy and the destination is missing, OstinatoError if the files are not there, differ, or
    can't be read from here.
    """
    tracking_uri = connections.tracking_uri
    stored = registry(tracking_uri).storage_uri(version.name, version.version)
    if spec.serving.oci_repository:
        return _image_uri(spec, tracking_uri, version, stored, live)
    if not stored.startswith(PROXIED):
        return stored
    mapped = map_proxied(stored, check_destination(connections.artifacts_destination), tracking_uri)
    now = live()
    if now is None or (now.storage_uri, now.digest) != (mapped, version.digest):
        with tempfile.TemporaryDirectory(prefix="ostinato-storage-") as scratch:
            _fetch(version, mapped, Path(scratch), tracking_uri)
    return mapped


def check_destination(text: str) -> str:
    """The destination itself, without a slash at its end; "" for none. Raises InputError for one that KServe can't
    read."""
    if text and not DESTINATIONS.fullmatch(text):
        raise InputError(
            f"artifacts_destination is {text!r}; give what the MLflow server was started with as "
            "--artifacts-destination: gs://…, s3://… or file:///…, without credentials"
        )
    return text.rstrip("/")


def map_proxied(uri: str, destination: str, tracking_uri: str = "") -> str:
    """Where a ``mlflow-artifacts:/`` URI is in the server's own store. Raises InputError without a destination."""
    from delivery.stores.mlflow_proxy import proxied_path

    if not destination:
        server = without_credentials(tracking_uri) or "the MLflow server"
        raise InputError(
            f"storage URI {uri!r} can't be served: KServe can't fetch through MLflow's proxy. Set {DESTINATION} (or "
            f"artifacts_destination in [tool.ostinato]) to what {server} "
            "was started with as --artifacts-destination, or start it with --no-serve-artifacts and an artifact root "
            "on s3:// or gs://, or push images with serving.oci_repository"
        )
    return f"{destination}/{proxied_path(uri)}"


def _fetch(version: ModelVersion, uri: str, folder: Path, tracking_uri: str) -> None:
    """Copy the version's files into a folder and compare their digest."""
    where = f"version {version.version} of {version.name} at {uri}"
    try:
        download_folder(uri, folder, tracking_uri)
    except FileNotFoundError as error:
        fix = f"; is {DESTINATION} what the server was started with?" if not uri.startswith(PROXIED) else ""
        raise OstinatoError(f"{where} is not there, so nothing was committed{fix}") from error
    except ImportError as error:
        extra = {"s3": "s3", "gs": "gcs"}.get(urlsplit(uri).scheme, "s3")
        raise OstinatoError(
            f"{where} can't be looked at, so nothing was committed: {error}; install ostinato[{extra}]"
        ) from error
    except OstinatoError:
        raise
    except (OSError, ValueError) as error:
        raise OstinatoError(
            f"{where} can't be looked at, so nothing was committed: {error}; the step that deploys needs the right to "
            "read it"
        ) from error
    fetched = model_digest(folder)
    if fetched != version.digest:
        raise OstinatoError(
            f"{where} has digest {fetched}, but the registry says {version.digest}, so nothing was committed; "
            "register the model again"
        )


def _image_uri(
    spec: ModelSpec, tracking_uri: str, version: ModelVersion, stored: str, live: Callable[[], LiveModel | None]
) -> str:
    """The image of the version by digest; pushed unless the repository has it."""
    from delivery.stores.publish import is_published, publish

    repository, base = spec.serving.oci_repository, spec.serving.oci_base
    assert repository
    now = live()
    if now and now.digest == version.digest and is_published(now.storage_uri, repository, base):
        return now.storage_uri
    with tempfile.TemporaryDirectory(prefix="ostinato-storage-") as scratch:
        _fetch(version, stored, Path(scratch), tracking_uri)
        return publish(Path(scratch), version.digest, repository, base)
