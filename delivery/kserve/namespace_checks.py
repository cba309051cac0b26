"""What a namespace has of what the release of a model needs there: runtime, secrets, account, quota. Only read."""

from collections.abc import Iterable

from delivery.kserve.api_server import ReadForbidden
from delivery.kserve.documents import Document
from delivery.kserve.installation_checks import ClusterFinding, ClusterReader, Findings, checked
from delivery.kserve.manifest import LLM_KIND
from delivery.kserve.quantities import quantities
from training.spec import ModelSpec

_SERVING = "/apis/serving.kserve.io"
_UNSET_DIGEST = "@sha256:" + "0" * 64
"""Of `runtimes/kustomization.yaml` as the manifests repository starts."""
OWN_RUNTIME = "ostinato-mlflow"


def namespace_findings(cluster: ClusterReader, namespace: str, specs: Iterable[ModelSpec]) -> Findings:
    """Of one namespace, for the models that are served in it. Raises OstinatoError if the cluster does not answer."""
    if not _exists(cluster, namespace):
        fix = f"kubectl create namespace {namespace}"
        yield ClusterFinding(f"Namespace {namespace}", "missing", "it is not there, and Argo CD may not make it", fix)
        return
    for spec in specs:
        where = f"{spec.name} in {namespace}"
        if spec.serving.resource != LLM_KIND:
            yield from checked(f"runtime of {where}", lambda spec=spec: _runtime(cluster, namespace, spec))
        yield from checked(f"secrets of {where}", lambda spec=spec: _secrets(cluster, namespace, spec))
        yield from checked(f"account of {where}", lambda spec=spec: _account(cluster, namespace, spec))
        yield from checked(f"quota of {where}", lambda spec=spec: _quota(cluster, namespace, spec))


def _exists(cluster: ClusterReader, namespace: str) -> bool:
    """One that may not be read is taken to be there: what is in it tells."""
    try:
        return cluster.read(f"/api/v1/namespaces/{namespace}") is not None
    except ReadForbidden:
        return True


def _runtime(cluster: ClusterReader, namespace: str, spec: ModelSpec) -> Findings:
    serving = spec.serving
    subject = f"runtime {serving.runtime} of {spec.name} in {namespace}"
    runtime = cluster.read(f"{_SERVING}/v1alpha1/namespaces/{namespace}/servingruntimes/{serving.runtime}")
    runtime = runtime or cluster.read(f"{_SERVING}/v1alpha1/clusterservingruntimes/{serving.runtime}")
    own = serving.runtime == OWN_RUNTIME
    fix = (
        "let Argo CD sync ostinato.runtimes, from runtimes/ of the manifests repository"
        if own
        else "enable it in KServe's chart kserve-runtime-configs"
    )
    problem = "it is not there" if runtime is None else _problem(runtime["spec"], spec)
    if problem:
        yield ClusterFinding(subject, "missing", problem, fix)
    else:
        yield ClusterFinding(subject, "ok", f"takes {serving.model_format}")


def _problem(runtime: Document, spec: ModelSpec) -> str:
    """Why KServe would not run the model with it, "" if it would."""
    serving = spec.serving
    formats = [entry["name"] for entry in runtime.get("supportedModelFormats", [])]
    protocol = "v2" if serving.protocol == "openai" else serving.protocol
    if runtime.get("disabled"):
        return "it is disabled"
    if serving.model_format not in formats:
        return f"it takes {', '.join(formats) or 'no format'}, not {serving.model_format}"
    if protocol not in (runtime.get("protocolVersions") or [protocol]):
        return f"it does not list the protocol {protocol}"
    if any(container["image"].endswith(_UNSET_DIGEST) for container in runtime["containers"]):
        return "the digest of its image is still zeros, which can't be pulled"
    return ""


def _secrets(cluster: ClusterReader, namespace: str, spec: ModelSpec) -> Findings:
    """By name and key; what a Secret holds is not looked at."""
    serving = spec.serving
    named: dict[str, set[str]] = {name: set() for name in (*serving.image_pull_secrets, serving.storage_secret) if name}
    for entry in serving.secret_env.values():
        named.setdefault(entry.secret, set()).add(entry.key)
    for name, keys in named.items():
        subject = f"Secret {name} of {spec.name} in {namespace}"
        secret = cluster.read(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        lacking = keys - (secret or {}).get("data", {}).keys()
        if secret is None:
            fix = f"kubectl -n {namespace} create secret"
            yield ClusterFinding(subject, "missing", "it is not there, so no pod would start", fix)
        elif lacking:
            yield ClusterFinding(subject, "missing", f"it has no key {', '.join(sorted(lacking))}", "add the key")
        else:
            yield ClusterFinding(subject, "ok", "is there")


def _account(cluster: ClusterReader, namespace: str, spec: ModelSpec) -> Findings:
    """The release brings it."""
    account = cluster.read(f"/api/v1/namespaces/{namespace}/serviceaccounts/{spec.name}")
    message = "is there" if account else "comes with the first release"
    yield ClusterFinding(f"ServiceAccount {spec.name} in {namespace}", "ok", message)


def _quota(cluster: ClusterReader, namespace: str, spec: ModelSpec) -> Findings:
    """Whether the quotas leave what the pods need that a release starts beside the ones that run."""
    from kubernetes.utils import parse_quantity

    pods = _new_pods(cluster, namespace, spec)
    needed = {"pods": parse_quantity(pods)}
    for name, text in quantities(spec.serving.resources).items():
        needed |= {f"{prefix}{name}": parse_quantity(text) * pods for prefix in ("", "requests.", "limits.")}
    for quota in (cluster.read(f"/api/v1/namespaces/{namespace}/resourcequotas") or {}).get("items", []):
        subject = f"ResourceQuota {quota['metadata']['name']} for {spec.name} in {namespace}"
        status = quota.get("status") or {"hard": quota["spec"].get("hard", {})}
        hard, used = status.get("hard", {}), status.get("used", {})
        left = {name: parse_quantity(hard[name]) - parse_quantity(used.get(name, 0)) for name in hard}
        short = [name for name in hard if name in needed and left[name] < needed[name]]
        for name in short:
            message = f"{used.get(name, 0)} of {hard[name]} {name} are used; {pods} new pods need {needed[name]}"
            yield ClusterFinding(subject, "missing", message, "raise the quota, or ask for less in serving.resources")
        if not short:
            yield ClusterFinding(subject, "ok", f"leaves what {pods} new pods need")


def _new_pods(cluster: ClusterReader, namespace: str, spec: ModelSpec) -> int:
    """All replicas of a first release, the one that surges of another, none where the old pod ends first."""
    serving = spec.serving
    version = "v1alpha2" if serving.resource == LLM_KIND else "v1beta1"
    path = f"{_SERVING}/{version}/namespaces/{namespace}/{serving.resource.lower()}s/{spec.name}"
    if cluster.read(path) is None:
        return max(serving.scaling.min_replicas, 1)
    return 0 if serving.recreates else 1
