"""Where in a cluster a model runs: the namespaces and Argo CD's Applications, by the manifests repository alone."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from delivery.git.repository import Snapshot
from delivery.kserve.documents import Document
from delivery.kserve.manifest import LLM_KIND, Manifest, manifest_path, service_of
from delivery.kserve.parse import parse
from delivery.releases.environments import PRODUCTION, STAGING, STAGING_PATCHES, production_path

ARGOCD_FILE = "argocd/kustomization.yaml"
"""Its line `components: [environments]` says whether there are two."""
ARGOCD_NAMESPACE = "argocd"


@dataclass(frozen=True)
class ModelPlace:
    """One namespace in which a model runs."""

    model: str
    environment: str
    """`staging` or `production`; "" where there is one environment only."""
    namespace: str
    manifest: Manifest
    kustomization: bytes
    """Through which Argo CD reads the manifest; b"" without one."""

    @property
    def application(self) -> str:
        """Name of Argo CD's Application."""
        return f"ostinato.models.{self.model}" + (f".{STAGING}" if self.environment == STAGING else "")

    @property
    def service(self) -> Document:
        service = service_of(self.manifest.documents, self.model)
        assert service, "the manifest was parsed"
        return service


def places_of(snapshot: Snapshot, model: str) -> list[ModelPlace]:
    """Where the model runs, production first; nothing if it is not live. Raises InputError if a manifest is broken."""
    released, promoted = manifest_path(model), production_path(model)
    kustomizations = {
        "": released.replace("inferenceservice", "kustomization"),
        STAGING: f"environments/{STAGING}/{model}/kustomization.yaml",
        PRODUCTION: promoted.replace("inferenceservice", "kustomization"),
    }
    files = snapshot.read(released, promoted, ARGOCD_FILE, *kustomizations.values())
    manifests = {"": released}
    if _has_environments(files, promoted):
        manifests = {PRODUCTION: promoted} if promoted in files else {}
        if kustomizations[STAGING] in files:
            manifests[STAGING] = released
    places: list[ModelPlace] = []
    for environment, path in manifests.items():
        if path not in files:
            continue
        manifest = parse(files[path], model, snapshot.commit)
        kustomization = files.get(kustomizations[environment], b"")
        service = service_of(manifest.documents, model) or {}
        namespace = _mapping(kustomization).get("namespace") or service["metadata"].get("namespace") or "default"
        places.append(ModelPlace(model, environment, str(namespace), manifest, kustomization))
    return places


def runs_in_staging(snapshot: Snapshot, model: str) -> bool:
    """Whether what is released comes to staging, on one replica, and nowhere else."""
    return _has_environments(snapshot.read(ARGOCD_FILE, production_path(model)), production_path(model))


def _has_environments(files: Mapping[str, bytes], promoted: str) -> bool:
    """By Argo CD's own kustomization; in a repository without one, by whether something was promoted."""
    if ARGOCD_FILE not in files:
        return promoted in files
    return "environments" in (_mapping(files[ARGOCD_FILE]).get("components") or ())


def namespaces(snapshot: Snapshot, released_to: Iterable[str]) -> set[str]:
    """Every namespace that releases into these ones may come to."""
    files = snapshot.read(ARGOCD_FILE)
    staging = {f"{namespace}-{STAGING}" for namespace in released_to} if _has_environments(files, "") else set[str]()
    return {*released_to, *staging}


def rendering(place: ModelPlace) -> Document | None:
    """The model's service as Argo CD applies it; None where its kustomization is not as Ostinato wrote it."""
    kustomization, service = _mapping(place.kustomization), copy.deepcopy(place.service)
    patches = kustomization.pop("patches", [])
    if kustomization.keys() - {"resources", "namespace"}:
        return None
    if place.environment != STAGING:
        return None if patches else service
    if patches != yaml.safe_load(STAGING_PATCHES)["patches"]:
        return None
    if service["kind"] == LLM_KIND:
        service["spec"]["replicas"] = 1
    else:
        service["spec"]["predictor"] |= {"minReplicas": 1, "maxReplicas": 1}
    return service


def _mapping(content: bytes) -> dict[str, Any]:
    """The document of a kustomization; empty for one that can't be read."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError:
        return {}
    return cast(dict[str, Any], document) if isinstance(document, dict) else {}


def ending_commands(places: list[ModelPlace]) -> tuple[str, ...]:
    """What ends a model in the cluster, in this order: an Application that is there makes the service again."""
    applications = " ".join(place.application for place in places)
    delete = "delete --ignore-not-found"
    commands = [f"kubectl -n {ARGOCD_NAMESPACE} {delete} applications.argoproj.io {applications}"] if places else []
    for place in places:
        objects = " ".join(kubectl_name(document) for document in place.manifest.documents)
        commands.append(f"kubectl -n {place.namespace} {delete} {objects}")
    return tuple(commands)


def kubectl_name(document: Document) -> str:
    """An object as kubectl names it, such as ``inferenceservices.serving.kserve.io/churn``."""
    group, separator, _ = document["apiVersion"].rpartition("/")
    kind = f"{document['kind'].lower()}s"
    return f"{kind}{'.' if separator else ''}{group}/{document['metadata']['name']}"
