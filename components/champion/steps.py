"""The champion step: bring the model folder that git says is live, and make sure that it is the one."""

from dataclasses import dataclass
from pathlib import Path

from delivery.connections import Connections
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.releases.live import live
from delivery.stores.fetch import fetch_model


@dataclass(frozen=True)
class ComparedVersion:
    version: str
    digest: str


def fetch_comparison(model: str, connections: Connections, candidate: Path, target: Path) -> ComparedVersion | None:
    """Fill ``target`` with the model folder to compare with; None and an empty folder when there is none.

    That is the living champion. When the candidate is itself the living champion (the same data, code and spec were
    run again) it is the version that it replaced, so that running again reproduces the verdict it went live with.
    Raises OstinatoError if the files are gone, can't be fetched, or are not the ones that were released.
    """
    target.mkdir(parents=True, exist_ok=True)
    running = live(connections.manifests_remote, model)
    if running is None:
        return None
    if running.digest == model_digest(candidate):
        if not running.previous_version:
            return None
        tracking_uri = connections.tracking_uri
        replaced = registry(tracking_uri).version(running.registered_model, running.previous_version)
        if replaced is not None:
            uri = registry(tracking_uri).storage_uri(replaced.name, replaced.version)
            fetch_model(model, replaced.version, uri, replaced.digest, target, tracking_uri)
            return ComparedVersion(replaced.version, replaced.digest)
    fetch_model(model, running.version, running.storage_uri, running.digest, target)
    return ComparedVersion(running.version, running.digest)
