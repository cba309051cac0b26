"""Whom the candidate is judged against."""

from dataclasses import dataclass
from pathlib import Path

from components.champion.steps import fetch_champion
from components.deploy.release import live
from components.register.lookup import registry
from components.stores.fetch import fetch_model
from components.train.model_folder import model_digest


@dataclass(frozen=True)
class Rival:
    version: str
    digest: str


def fetch_rival(model: str, manifests_remote: str, tracking_uri: str, candidate: Path, target: Path) -> Rival | None:
    """Fill ``target`` with the model folder to compare with; None and an empty folder when there is none.

    That is the living champion. When the candidate is itself the living champion (the same data, code and spec were
    run again) it is the version that it replaced, so that running again reproduces the verdict it went live with.
    """
    target.mkdir(parents=True, exist_ok=True)
    running = live(manifests_remote, model)
    if running is None:
        return None
    if running.digest == model_digest(candidate):
        if not running.previous_version:
            return None
        replaced = registry(tracking_uri).version(running.registered_model, running.previous_version)
        if replaced is not None:
            uri = registry(tracking_uri).storage_uri(replaced.name, replaced.version)
            fetch_model(model, replaced.version, uri, replaced.digest, target, tracking_uri)
            return Rival(replaced.version, replaced.digest)
    fetch_champion(model, manifests_remote, target)
    return Rival(running.version, running.digest)
