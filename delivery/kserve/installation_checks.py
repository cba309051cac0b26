"""What a cluster has of what every release needs: Kubernetes, KServe, its modes and its gateway. Only read.

Names of KServe's Deployment and ConfigMap are those of its chart (kserve 0.20.0, charts/kserve-resources).
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from delivery.kserve.api_server import ReadForbidden
from delivery.kserve.documents import Document
from delivery.kserve.manifest import LLM_KIND
from training.spec import ModelSpec

KUBERNETES_FLOOR, KSERVE_FLOOR = (1, 30), (0, 20)
"""`preStop.sleep` is on since Kubernetes 1.30; KServe 0.20 is what manifests are written for."""
_GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"


class ClusterReader(Protocol):
    def read(self, path: str) -> Document | None:
        """What the API has at a path, None where there is nothing. Raises ReadForbidden."""
        ...


@dataclass(frozen=True)
class ClusterFinding:
    """One thing that a release would meet."""

    subject: str
    """Such as ``KServe`` or ``Secret hugging-face in models``."""
    state: Literal["ok", "missing", "unknown"]
    """``unknown``: the account of the kubeconfig may not read it."""
    message: str
    fix: str = ""


Findings = Iterator[ClusterFinding]


def checked(subject: str, checks: Callable[[], Findings]) -> Findings:
    """The findings of checks, up to the first thing that may not be read, which is named."""
    try:
        yield from checks()
    except ReadForbidden as error:
        yield ClusterFinding(subject, "unknown", f"you may not read {error}", "ask for the verb get on it")


def installation_findings(cluster: ClusterReader, specs: Sequence[ModelSpec]) -> Findings:
    """Of the cluster as a whole, for these models. Raises OstinatoError if it does not answer."""
    yield from checked("Kubernetes", lambda: _kubernetes(cluster))
    yield from checked("KServe", lambda: _kserve(cluster))
    yield from checked("serving resources", lambda: _resources(cluster, specs))
    yield from checked("gateway", lambda: _gateways(cluster, specs))


def version_of(text: str) -> tuple[int, int] | None:
    """Major and minor number of ``v1.35.4`` or an image's tag; None where the text has none."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\b.*", text)
    return (int(match[1]), int(match[2])) if match else None


def image_version(workload: Document, container: str) -> str:
    """Tag of a container's image; its digest where it has no tag."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    image = next((entry["image"] for entry in containers if entry["name"] == container), "")
    return image.rpartition("/")[2].partition(":")[2] or image


def version_finding(subject: str, version: str, floor: tuple[int, int], why: str) -> ClusterFinding:
    """Whether a version is new enough; one that is no number is only shown."""
    number = version_of(version)
    if number is None:
        return ClusterFinding(subject, "unknown", f"runs {version or 'an image without a tag'}", "look at its release")
    if number < floor:
        floor_text = ".".join(map(str, floor))
        return ClusterFinding(subject, "missing", f"{version} is older than {floor_text}: {why}", "upgrade it")
    return ClusterFinding(subject, "ok", version)


def _kubernetes(cluster: ClusterReader) -> Findings:
    version = str((cluster.read("/version") or {}).get("gitVersion", ""))
    yield version_finding("Kubernetes", version, KUBERNETES_FLOOR, "pods can't wait before they end (preStop.sleep)")


def _kserve(cluster: ClusterReader) -> Findings:
    if not knows(cluster, "/apis/serving.kserve.io/v1beta1", "inferenceservices"):
        yield ClusterFinding("KServe", "missing", "it is not installed", "install KServe 0.20 or newer")
        return
    controller = cluster.read("/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager")
    if controller is None:
        yield ClusterFinding("KServe", "unknown", "no kserve-controller-manager in kserve", "look at its release")
        return
    yield version_finding("KServe", image_version(controller, "manager"), KSERVE_FLOOR, "manifests are for 0.20")


def _resources(cluster: ClusterReader, specs: Sequence[ModelSpec]) -> Findings:
    """The APIs that some models need beside KServe's own."""
    apis = {
        "LLMInferenceService": ("/apis/serving.kserve.io/v1alpha2", "llminferenceservices", "KServe's chart for it"),
        "Knative": ("/apis/serving.knative.dev/v1", "services", "Knative Serving"),
        "KEDA": ("/apis/keda.sh/v1alpha1", "scaledobjects", "KEDA"),
    }
    users: dict[str, list[str]] = {name: [] for name in apis}
    for spec in specs:
        serving = spec.serving
        users["LLMInferenceService"] += [spec.name] * (serving.resource == LLM_KIND)
        users["Knative"] += [spec.name] * (serving.deployment_mode == "Knative")
        users["KEDA"] += [spec.name] * (serving.scaling.autoscaler == "keda")
    for name, models in users.items():
        path, resource, chart = apis[name]
        if models and knows(cluster, path, resource):
            yield ClusterFinding(name, "ok", f"is there for {', '.join(models)}")
        elif models:
            yield ClusterFinding(name, "missing", f"{', '.join(models)} can't be served without it", f"install {chart}")
    mode = _configuration(cluster, "deploy").get("defaultDeploymentMode")
    if mode:
        yield ClusterFinding("deployment mode", "ok", f"KServe's default is {mode}; each manifest names its own")


def _gateways(cluster: ClusterReader, specs: Sequence[ModelSpec]) -> Findings:
    ingress = _configuration(cluster, "ingress")
    canaries = [spec.name for spec in specs if spec.serving.canary and spec.serving.deployment_mode == "Standard"]
    named = {f"{spec.serving.gateway.namespace}/{spec.serving.gateway.name}" for spec in specs if spec.serving.gateway}
    by_gateway_api = bool(ingress.get("enableGatewayApi"))
    if canaries and ingress and not by_gateway_api:
        yield ClusterFinding(
            "canaries",
            "missing",
            f"{', '.join(canaries)} would get no share of the requests: KServe does not use the Gateway API",
            "set kserve.controller.gateway.ingressGateway.enableGatewayApi of KServe's chart",
        )
    if by_gateway_api and ingress.get("kserveIngressGateway"):
        named.add(ingress["kserveIngressGateway"])
    if named and not knows(cluster, _GATEWAY_API, "gateways"):
        yield ClusterFinding("Gateway API", "missing", "it is not installed", "install its CRDs and a gateway")
        return
    for name in sorted(named):
        yield from checked(f"Gateway {name}", lambda name=name: _gateway(cluster, name))
    if not named and ingress:
        yield ClusterFinding("gateway", "ok", f"no model names one; KServe makes {_ingress_kind(ingress)}")


def _ingress_kind(ingress: Document) -> str:
    return "no Ingress" if ingress.get("disableIngressCreation") else "an Ingress or Istio's VirtualService"


def _gateway(cluster: ClusterReader, name: str) -> Findings:
    subject, (namespace, _, short) = f"Gateway {name}", name.partition("/")
    gateway = cluster.read(f"{_GATEWAY_API}/namespaces/{namespace}/gateways/{short}")
    if gateway is None:
        yield ClusterFinding(subject, "missing", "it is not there, so no request arrives", "make it, or name another")
        return
    conditions: list[Any] = gateway.get("status", {}).get("conditions", [])
    programmed = next((entry for entry in conditions if entry["type"] == "Programmed"), {"status": "Unknown"})
    if programmed["status"] != "True":
        why = programmed.get("message") or "no controller has looked at it"
        yield ClusterFinding(subject, "missing", f"it is not ready: {why}", "look at its gateway controller")
        return
    yield ClusterFinding(subject, "ok", "is programmed")


def _configuration(cluster: ClusterReader, key: str) -> Document:
    """A part of KServe's own configuration, {} where it is not where the chart puts it."""
    config_map = cluster.read("/api/v1/namespaces/kserve/configmaps/inferenceservice-config") or {}
    return json.loads(config_map.get("data", {}).get(key) or "{}")


def knows(cluster: ClusterReader, path: str, resource: str) -> bool:
    """Whether the API has a resource, by what it says of a group's version: everybody may read that."""
    listed = cluster.read(path) or {}
    return any(entry["name"] == resource for entry in listed.get("resources", []))
