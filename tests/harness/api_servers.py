"""A Kubernetes API server that gives what it has, such as objects that a real one was recorded to have.

tests/gitops/test_stand_in.py holds it to every recorded object. What was not recorded is what is around the objects:
the list, what a group's version has, and the refusals, in the shapes of Kubernetes' API conventions.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from harness.loopback import LoopbackServer, Reply, Request

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
_OBJECT = re.compile(r"/apis?/((?:[a-z0-9.-]+/)?v\d\w*)/(?:namespaces/([\w-]+)/)?([a-z]+)(?:/([\w.-]+))?")
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}
_KNOWN = {
    "v1": {"configmaps", "namespaces", "resourcequotas", "secrets", "serviceaccounts"},
    "apps/v1": {"deployments"},
    "argoproj.io/v1alpha1": {"applications", "applicationsets", "appprojects"},
    "gateway.networking.k8s.io/v1": {"gateways", "httproutes"},
    "serving.kserve.io/v1alpha1": {"clusterservingruntimes", "servingruntimes"},
    "serving.kserve.io/v1alpha2": {"llminferenceservices"},
    "serving.kserve.io/v1beta1": {"inferenceservices"},
}


def recorded(state: str) -> dict[str, Any]:
    """A service as the real API server gave it."""
    return yaml.safe_load((RECORDED / f"kserve-{state}.yaml").read_text())


def plural(entry: dict[str, Any]) -> str:
    return f"{entry['kind'].lower()}s"


def path_of(entry: dict[str, Any]) -> str:
    """Where the API has an object."""
    version, metadata = entry["apiVersion"], entry["metadata"]
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"/api{'s' if '/' in version else ''}/{version}{namespace}/{plural(entry)}/{metadata['name']}"


class ApiServerStandIn(LoopbackServer):
    """objects: what it has; missing: resources that it does not know, as without KServe's CRDs."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: list[dict[str, Any]] = []
        self.missing: set[str] = set()
        self.forbidden: set[str] = set()
        """Resources that the account may not read."""
        self.refuses = 0
        """A status with which it answers everything, 0 for none."""
        self.version = "v1.35.4"

    def answer(self, request: Request) -> Reply:
        if self.refuses:
            return _refusal(self.refuses, request.path)
        if request.path == "/version":
            return Reply(200, {"gitVersion": self.version})
        group_version = request.path.removeprefix("/apis/").removeprefix("/api/")
        if group_version in _KNOWN:
            return self._resources(group_version)
        match = _OBJECT.fullmatch(request.path)
        if not match or match[3] not in _KNOWN.get(match[1], set()) - self.missing:
            return Reply(404, "404 page not found\n", {"Content-Type": "text/plain"})
        version, namespace, resource, name = match.groups()
        if resource in self.forbidden:
            return _refusal(403, request.path)
        entries = [
            entry
            for entry in self.objects
            if (entry["apiVersion"], plural(entry)) == (version, resource)
            and namespace in (None, entry["metadata"].get("namespace"))
        ]
        if name:
            named = [entry for entry in entries if entry["metadata"]["name"] == name]
            return Reply(200, named[0]) if named else _refusal(404, request.path)
        listed = {"apiVersion": version, "kind": "List", "metadata": {"resourceVersion": "1"}, "items": entries}
        return Reply(200, listed)

    def _resources(self, group_version: str) -> Reply:
        names = sorted(_KNOWN[group_version] - self.missing)
        if not names:
            return Reply(404, "404 page not found\n", {"Content-Type": "text/plain"})
        resources = [{"name": name, "singularName": name.removesuffix("s"), "verbs": ["get", "list"]} for name in names]
        about = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version}
        return Reply(200, {**about, "resources": resources})

    def kubeconfig(self, folder: Path) -> Path:
        """A file that names it."""
        path = folder / "kubeconfig"
        parts = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand-in",
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}],
            "clusters": [{"name": "stand-in", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
        }
        path.write_text(yaml.safe_dump(parts))
        return path


def _refusal(code: int, path: str) -> Reply:
    about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return Reply(code, {**about, "message": f"{path} is refused", "reason": _REASONS[code], "code": code})
