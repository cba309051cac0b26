"""Whether the cluster has rolled out the version that git names: what the end of a canary waits for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from delivery.git.repository import open_repository
from delivery.kserve.cluster import model_version
from delivery.kserve.documents import Document
from delivery.kserve.health import Health, health_of
from delivery.kserve.manifest import PREFIX
from delivery.releases.cluster_status import Cluster
from delivery.releases.environments import PRODUCTION
from delivery.releases.places import ModelPlace, places_of
from delivery.retry import RetryPolicy, retrying
from training.errors import InputError, OstinatoError

ROLL_OUT = RetryPolicy(attempts=10_000, pause_s=5.0, longest_pause_s=10.0, total_s=1800.0)
"""How long is waited: as health.lua gives a language model, the slowest to load."""
_VERSION = f"f:{PREFIX}model-version"
"""As `metadata.managedFields` names the annotation."""


def wait_for_roll_out(
    manifests_remote: str,
    name: str,
    connect: Callable[[], Cluster],
    policy: RetryPolicy = ROLL_OUT,
    report: Callable[[str], None] = lambda sentence: None,
) -> str:
    """Wait until the pods of the version that git names are ready. Returns "", or why no cluster can tell.

    connect: raises InputError without a cluster. report: gets each new sentence of the cluster. Raises OstinatoError if
    the version does not become ready, or not in time.
    """
    try:
        cluster, place = connect(), _place(manifests_remote, name)
        if _service(cluster, place) is None:
            return f"the cluster of the kubeconfig has no {name} in namespace {place.namespace}"
    except (InputError, OstinatoError) as error:
        return str(error)
    sentences: list[str] = []

    def look() -> Health:
        health = _health(cluster, place)
        if health.message not in sentences[-1:]:
            sentences.append(health.message)
            report(f"{name}: {health.message}")
        return health

    health = retrying(policy, lambda outcome: isinstance(outcome, Health) and outcome.status == "Progressing")(look)
    if health.status != "Healthy":
        raise OstinatoError(
            f"version {place.manifest.served.version} of {name} is not ready, so its canary stays: {health.message} "
            f"When it is mended, `ostinato canary {name} --finish` goes on; with --abort the version before comes back"
        )
    return ""


def _place(manifests_remote: str, name: str) -> ModelPlace:
    """Where a canary runs: production gets none."""
    with open_repository(manifests_remote) as repository:
        places = places_of(repository.snapshot(), name)
    for place in places:
        if place.environment != PRODUCTION:
            return place
    raise InputError(f"{name} runs in production only")


def _service(cluster: Cluster, place: ModelPlace) -> Document | None:
    kind, services = place.service["kind"], cluster.services(place.namespace)
    return next((s for s in services if (s["kind"], s["metadata"]["name"]) == (kind, place.model)), None)


def _health(cluster: Cluster, place: ModelPlace) -> Health:
    service, version = _service(cluster, place), place.manifest.served.version
    if service is None:
        return Health("Missing", "The cluster does not have it any more.")
    if model_version(service) != version:
        return Health("Progressing", f"Argo CD has not applied version {version} yet.")
    if not _looked_at(service):
        return Health("Progressing", "KServe has not looked at it yet.")
    return health_of(service)


def _looked_at(service: Document) -> bool:
    """Whether KServe has said something of the predictor since the version was applied.

    For a moment after that the status is the version's before, with the new annotations above it. The API server notes
    when each field was written; a roll-out that ends changes the condition's message, which names its ReplicaSet, and
    so its time.
    """
    entries: list[dict[str, Any]] = service["metadata"].get("managedFields") or []
    written = [_time(entry["time"]) for entry in entries if _VERSION in _annotations(entry)]
    status: dict[str, Any] = service.get("status") or {}
    conditions: list[dict[str, str]] = status.get("conditions") or []
    changed = [_time(entry["lastTransitionTime"]) for entry in conditions if entry["type"] == "PredictorReady"]
    return not written or (bool(changed) and max(changed) >= max(written))


def _annotations(entry: dict[str, Any]) -> dict[str, Any]:
    """Names of the annotations that a writer has; {} for one that has none."""
    metadata: dict[str, Any] = entry.get("fieldsV1", {}).get("f:metadata", {})
    return metadata.get("f:annotations", {})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
