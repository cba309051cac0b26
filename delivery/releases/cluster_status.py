"""What the cluster runs, held against what git names: version, health, fields, and what has no folder in git."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from delivery.git.repository import Repository, Snapshot, open_repository
from delivery.kserve.cluster import FieldDifference, differences, model_version
from delivery.kserve.documents import Document
from delivery.kserve.health import Health, health_of
from delivery.kserve.manifest import SERVICE_KINDS, shadow_name
from delivery.releases.places import ModelPlace, kubectl_name, namespaces, places_of, rendering

_ABSENT = Health("Missing", "The cluster does not have it.")


class Cluster(Protocol):
    def services(self, namespace: str) -> list[Document]:
        """Every service of KServe in the namespace."""
        ...


@dataclass(frozen=True)
class PlaceStatus:
    """A model in one namespace."""

    model: str
    environment: str
    """"" where there is one environment only."""
    namespace: str
    git_version: str
    commit: str
    """The last one that changed the manifest."""
    canary: str
    """Version that git has as a canary, "" without one."""
    cluster_version: str
    """"" where the cluster does not have it, or no release wrote it."""
    health: str
    """Argo CD's word, or Missing."""
    message: str
    differences: tuple[FieldDifference, ...]
    note: str
    """Why fields were not compared, "" if they were."""

    @property
    def live(self) -> bool:
        """Whether the version that git names serves."""
        return self.cluster_version == self.git_version and self.health == "Healthy"


@dataclass(frozen=True)
class StrayService:
    """A service without a folder in git."""

    name: str
    namespace: str
    version: str
    health: str
    message: str
    command: str
    """What to type to end it."""


@dataclass(frozen=True)
class ClusterStatus:
    places: tuple[PlaceStatus, ...]
    strays: tuple[StrayService, ...]


def cluster_status(
    manifests_remote: str, cluster: Cluster, spec_namespaces: Iterable[str], model: str | None = None
) -> ClusterStatus:
    """Read git, then each namespace once. model: that one alone.

    spec_namespaces: of the workspace's specs, looked at for what has no folder. Raises InputError for a broken
    manifest, and what the cluster raises.
    """
    with open_repository(manifests_remote) as repository:
        snapshot = repository.snapshot(history=True)
        paths = sorted(snapshot.paths("models", "environments"))
        folders = {path.split("/")[1 if path.startswith("models/") else 2] for path in paths if path.count("/") > 1}
        released = [path.split("/")[1] for path in paths if path.endswith("/inferenceservice.yaml")]
        names = [name for name in dict.fromkeys(released) if f"models/{name}/inferenceservice.yaml" in paths]
        places = [place for name in names for place in places_of(snapshot, name)]
        commits = {name: _last_commit(repository, snapshot, name) for name in names if model in (None, name)}
        looked_at = sorted({place.namespace for place in places} | namespaces(snapshot, spec_namespaces))
    services = {namespace: cluster.services(namespace) for namespace in looked_at}
    known = {name: _with_companions(name, places) for name in folders}
    strays = [
        _stray(service, folders)
        for listed in services.values()
        for service in listed
        if (name := service["metadata"]["name"]) not in set().union(*known.values()) and model in (None, name)
    ]
    compared = (place for place in places if place.model in commits)
    return ClusterStatus(
        tuple(_place_status(place, services[place.namespace], commits[place.model]) for place in compared),
        tuple(strays),
    )


def _last_commit(repository: Repository, snapshot: Snapshot, name: str) -> str:
    """The last commit that changed what the model runs."""
    paths = (f"models/{name}", f"environments/production/{name}")
    return repository.git("log", "-1", "--format=%H", snapshot.commit, "--", *paths).decode().strip()


def _with_companions(name: str, places: Iterable[ModelPlace]) -> set[str]:
    """Names of the services that a folder brings: the model's own and its shadow's."""
    documents = (document for place in places if place.model == name for document in place.manifest.documents)
    return {name} | {document["metadata"]["name"] for document in documents if document.get("kind") in SERVICE_KINDS}


def _place_status(place: ModelPlace, services: Iterable[Document], commit: str) -> PlaceStatus:
    kind = place.service["kind"]
    service = next((s for s in services if s["metadata"]["name"] == place.model and s["kind"] == kind), None)
    health = health_of(service) if service else _ABSENT
    version = model_version(service) if service else ""
    git_version, rendered = place.manifest.served.version, rendering(place)
    note, fields = "", list[FieldDifference]()
    if rendered is None:
        note = "its kustomization was changed by hand, so fields are not compared"
    elif service and version == git_version:
        fields = differences(rendered, service)
    return PlaceStatus(
        model=place.model,
        environment=place.environment,
        namespace=place.namespace,
        git_version=git_version,
        commit=commit,
        canary=place.manifest.served.canary.version if place.manifest.served.canary else "",
        cluster_version=version,
        health=health.status,
        message=health.message,
        differences=tuple(fields),
        note=note,
    )


def _stray(service: Document, folders: set[str]) -> StrayService:
    """What no release wrote, and a shadow of a model that is there, are no models to retire."""
    health, metadata, version = health_of(service), service["metadata"], model_version(service)
    name, namespace = metadata["name"], metadata["namespace"]
    is_model = bool(version) and not any(name == shadow_name(folder) for folder in folders)
    command = f"ostinato retire {name}" if is_model else f"kubectl -n {namespace} delete {kubectl_name(service)}"
    return StrayService(name, namespace, version, health.status, health.message, command)
