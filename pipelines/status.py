"""`ostinato status`: git, the registry and the open proposals of a model, and whether they are in sync."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delivery.registry.lookup import registry
from delivery.registry.versions import CANDIDATE, CHAMPION, PREVIOUS
from delivery.releases.environments import in_production
from delivery.releases.live import Proposal, live
from pipelines.settings.settings import Workspace
from training.spec import ModelSpec


@dataclass(frozen=True)
class ModelStatus:
    """Versions are "" where there is none."""

    model: str
    live: str
    """By git: the only source of truth."""
    live_digest: str
    commit: str
    storage_uri: str
    canary: str
    """Version that gets `canary_percent` of the requests beside the live one."""
    canary_percent: int
    shadow: str
    """Version that gets a copy of the requests."""
    production: str
    """Version that was promoted to production; "" where there is one environment only."""
    candidate: str
    champion: str
    previous: str
    agree: bool
    """Whether the registry's champion and previous are what git says; `ostinato reconcile` makes them so. They follow a
    version that takes over from its canary when the canary is gone."""
    proposals: tuple[Proposal, ...]


def model_status(workspace: Workspace, spec: ModelSpec, proposals: Sequence[Proposal]) -> ModelStatus:
    """Read git and the registry; nothing is written, nothing is made."""
    running, production = None, ""
    if not workspace.embedded_manifests or workspace.local_manifests.exists():
        running = live(workspace.connections.manifests_remote, spec.name)
        production = in_production(workspace.connections.manifests_remote, spec.name)
    aliases = {}
    if not workspace.embedded_registry or Path(workspace.database).exists():
        aliases = registry(workspace.connections.tracking_uri).aliases(spec.registered_name)
    recorded = (aliases.get(CHAMPION, ""), aliases.get(PREVIOUS, ""))
    follows = recorded == ((running.version, running.previous_version) if running else ("", ""))
    return ModelStatus(
        model=spec.name,
        live=running.version if running else "",
        live_digest=running.digest if running else "",
        commit=running.commit if running else "",
        storage_uri=running.storage_uri if running else "",
        canary=running.canary.version if running and running.canary else "",
        canary_percent=running.canary.percent if running and running.canary else 0,
        shadow=running.shadow.version if running and running.shadow else "",
        production=production,
        candidate=aliases.get(CANDIDATE, ""),
        champion=recorded[0],
        previous=recorded[1],
        agree=follows or (running is not None and running.takes_over),
        proposals=tuple(proposals),
    )
