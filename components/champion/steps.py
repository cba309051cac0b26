"""The champion step: bring the model folder that git says is live, and make sure that it is the one."""

from pathlib import Path

from components.deploy.manifest import LiveModel
from components.deploy.release import live
from components.stores.fetch import fetch_model


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
