"""Artifacts that an MLflow server hands out itself, over its REST API, with the registry's own credentials.

https://mlflow.org/docs/latest/self-hosting/architecture/artifact-store (``--serve-artifacts``). MLflow's client reads
them too, but its import takes longer than the download.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from delivery.addresses import without_credentials
from delivery.registry.rest import ask, rest_session
from delivery.registry.versions import registry_down
from training.errors import InputError

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 20
"""Bytes that are held at once."""


def proxied_path(uri: str) -> str:
    """The path below the server's artifacts destination. Raises InputError for a URI with a host or no path."""
    parts = urlsplit(uri)
    path = parts.path.strip("/")
    if parts.netloc or not path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InputError(f"artifact URI {uri!r} is not mlflow-artifacts:/<path>, so it can't be resolved")
    return path


def download(tracking_uri: str, uri: str, target: Path) -> None:
    """Copy all files under a ``mlflow-artifacts:/`` URI into an existing folder.

    Raises InputError unless the tracking URI is a server's, FileNotFoundError if there is nothing, OstinatoError if
    the server can't be used.
    """
    if urlsplit(tracking_uri).scheme not in ("http", "https"):
        raise InputError(
            f"artifact URI {uri!r} is read through the MLflow server, but the tracking URI is "
            f"{without_credentials(tracking_uri) or 'not given'!r}; set OSTINATO_TRACKING_URI to the server's "
            "http(s):// address"
        )
    with rest_session() as session:
        if not _download(session, tracking_uri, proxied_path(uri), target):
            raise FileNotFoundError(uri)


def _download(session: "requests.Session", tracking_uri: str, path: str, target: Path) -> int:
    """Copy a folder's files, and return how many there were."""
    listing: dict[str, Any] = _get(session, tracking_uri, "", {"path": path}).json()
    count = 0
    for entry in listing.get("files", []):
        name = entry["path"]
        if "/" in name or name in ("", ".", ".."):
            raise registry_down(tracking_uri, f"it lists the artifact {name!r}, which is no file name")
        if entry.get("is_dir"):
            (target / name).mkdir(exist_ok=True)
            count += _download(session, tracking_uri, f"{path}/{name}", target / name)
            continue
        _copy(session, tracking_uri, f"/{quote(f'{path}/{name}')}", target / name)
        count += 1
    return count


def _copy(session: "requests.Session", tracking_uri: str, path: str, target: Path) -> None:
    import requests

    with _get(session, tracking_uri, path) as answer, target.open("wb") as file:
        try:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
        except requests.exceptions.RequestException as error:
            raise registry_down(tracking_uri, f"it broke off while sending {path}: {error}") from error


def _get(
    session: "requests.Session", tracking_uri: str, path: str, parameters: dict[str, str] | None = None
) -> "requests.Response":
    address = f"mlflow-artifacts/artifacts{path}"
    answer = ask(session, tracking_uri, address, params=parameters, stream=bool(path))
    if not answer.ok:
        raise registry_down(tracking_uri, f"it answered HTTP {answer.status_code} for artifact {path or parameters}")
    return answer
