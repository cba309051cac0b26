"""What a release would meet in a cluster, before one: the cluster itself, Argo CD, and each namespace. Only read."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from delivery.git.repository import open_repository
from delivery.kserve.documents import Document
from delivery.kserve.installation_checks import (
    ClusterFinding,
    ClusterReader,
    Findings,
    checked,
    image_version,
    installation_findings,
    knows,
    version_finding,
)
from delivery.kserve.namespace_checks import namespace_findings
from delivery.releases.environments import STAGING
from delivery.releases.places import ARGOCD_NAMESPACE, namespaces
from training.spec import ModelSpec

ARGOCD_FLOOR = (3, 2)
NAME = "ostinato"
"""Of our AppProject and ApplicationSet."""
_ARGOCD = f"/apis/argoproj.io/v1alpha1/namespaces/{ARGOCD_NAMESPACE}"
_APPLY = "kubectl apply --server-side -k argocd, in the manifests repository"
_KEPT = {"applicationsSync": "create-update", "preserveResourcesOnDeletion": True}
"""The two policies under which no change of git deletes a service."""


def check_cluster(manifests_remote: str, cluster: ClusterReader, specs: Sequence[ModelSpec]) -> list[ClusterFinding]:
    """Everything that a release of these models needs, in the order in which it would be met.

    Reads git for whether there is a staging environment. Raises OstinatoError if the cluster does not answer.
    """
    with open_repository(manifests_remote) as repository:
        own = {spec.serving.namespace for spec in specs}
        looked_at = sorted(namespaces(repository.snapshot(), own))
    findings = [*installation_findings(cluster, specs)]
    findings += checked("Argo CD", lambda: _argocd(cluster))
    findings += checked("Argo CD's project", lambda: _project(cluster, manifests_remote, looked_at, specs))
    findings += checked("Argo CD's ApplicationSet", lambda: _application_set(cluster))
    for namespace in looked_at:
        served = [spec for spec in specs if namespace in (spec.serving.namespace, _staging(spec))]
        findings += namespace_findings(cluster, namespace, served)
    return findings


def _staging(spec: ModelSpec) -> str:
    return f"{spec.serving.namespace}-{STAGING}"


def _argocd(cluster: ClusterReader) -> Findings:
    if not knows(cluster, "/apis/argoproj.io/v1alpha1", "applicationsets"):
        yield ClusterFinding("Argo CD", "missing", "it is not installed", "install Argo CD 3.2 or newer")
        return
    name = "argocd-applicationset-controller"
    controller = cluster.read(f"/apis/apps/v1/namespaces/{ARGOCD_NAMESPACE}/deployments/{name}")
    if controller is None:
        yield ClusterFinding("Argo CD", "unknown", f"no {name} in {ARGOCD_NAMESPACE}", "look at its release")
        return
    yield version_finding("Argo CD", image_version(controller, name), ARGOCD_FLOOR, "it has no retry.refresh")


def _project(cluster: ClusterReader, remote: str, looked_at: Iterable[str], specs: Sequence[ModelSpec]) -> Findings:
    subject = "Argo CD's project"
    project = cluster.read(f"{_ARGOCD}/appprojects/{NAME}")
    if project is None:
        yield ClusterFinding(subject, "missing", f"there is no AppProject {NAME} in {ARGOCD_NAMESPACE}", _APPLY)
        return
    rights: dict[str, Any] = project["spec"]
    problems = [f"namespace {name}" for name in looked_at if not _may_go_to(rights, name)]
    problems += [f"kind {kind}" for kind in _kinds(specs) if not _may_make(rights, kind)]
    if not any(fnmatchcase(remote, pattern) for pattern in rights.get("sourceRepos", [])):
        problems.append(f"repository {remote}")
    for problem in problems:
        yield ClusterFinding(subject, "missing", f"it does not allow {problem}", "add it to argocd/project.yaml")
    if not problems:
        yield ClusterFinding(subject, "ok", "allows repository, namespaces and kinds")


def _may_go_to(rights: Document, namespace: str) -> bool:
    return any(fnmatchcase(namespace, entry.get("namespace", "")) for entry in rights.get("destinations", []))


def _may_make(rights: Document, kind: str) -> bool:
    return any(entry["kind"] in (kind, "*") for entry in rights.get("namespaceResourceWhitelist", [{"kind": "*"}]))


def _kinds(specs: Sequence[ModelSpec]) -> list[str]:
    routes = ["HTTPRoute"] if any(spec.serving.gateway for spec in specs) else []
    return ["ServiceAccount", *sorted({spec.serving.resource for spec in specs}), *routes]


def _application_set(cluster: ClusterReader) -> Findings:
    subject = "Argo CD's ApplicationSet"
    application_set = cluster.read(f"{_ARGOCD}/applicationsets/{NAME}")
    if application_set is None:
        yield ClusterFinding(subject, "missing", f"there is no {NAME} in {ARGOCD_NAMESPACE}", _APPLY)
    elif (application_set["spec"].get("syncPolicy") or {}) | _KEPT != application_set["spec"].get("syncPolicy"):
        message = "a change of git may delete services: it is from before December 2026"
        yield ClusterFinding(subject, "missing", message, 'see "Upgrade a cluster" in docs/how-to/gitops.md')
    else:
        yield ClusterFinding(subject, "ok", "follows git and keeps services")
