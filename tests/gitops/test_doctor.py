"""What a release would meet in a cluster: an API server with what the manifests repository, KServe's own runtimes and
recorded services put there, and then without one thing after the other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.api_servers import ApiServerStandIn, recorded
from harness.candidates import model_spec
from harness.registered import Place

from delivery.kserve.api_server import ApiServer
from delivery.kserve.stock_runtimes import DATA
from delivery.releases.cluster_check import check_cluster
from training.errors import OstinatoError

ROOT = Path(__file__).parents[2]
NAME = "demand-forecaster"
SERVING = {
    "storage_secret": "artifact-store",
    "secret_env": {"TOKEN": {"secret": "tokens", "key": "token"}},
    "gateway": {"name": "public", "namespace": "gateways", "hostname": "demand.example.org"},
    "scaling": {"min_replicas": 2, "max_replicas": 2},
    "canary": {"percent": 10},
}


def workload(namespace: str, name: str, container: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}},
    }


def simple(kind: str, name: str, namespace: str = "", **parts: Any) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **where}, **parts}


def manifest(path: str, namespace: str) -> dict[str, Any]:
    """A document as the manifests repository starts with it."""
    document = yaml.safe_load((ROOT / "manifests" / path).read_text())
    document["metadata"]["namespace"] = namespace
    return document


def whole_cluster(remote: str) -> list[dict[str, Any]]:
    """Everything that the model needs."""
    project = manifest("argocd/project.yaml", "argocd")
    project["spec"]["sourceRepos"] = [remote]
    runtime = manifest("runtimes/ostinato-mlflow.yaml", "models")
    runtime["spec"]["containers"][0]["image"] = "registry.example.org/ostinato@sha256:" + "4" * 64
    ingress = {"enableGatewayApi": True, "kserveIngressGateway": "gateways/public"}
    configuration = {"deploy": json.dumps({"defaultDeploymentMode": "Knative"}), "ingress": json.dumps(ingress)}
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "gateways"},
        "status": {"conditions": [{"type": "Programmed", "status": "True"}]},
    }
    quota = {"hard": {"pods": "4", "requests.memory": "8Gi", "services": "9"}, "used": {"pods": "2"}}
    return [
        simple("Namespace", "models"),
        workload("kserve", "kserve-controller-manager", "manager", "kserve/kserve-controller:v0.20.0"),
        simple("ConfigMap", "inferenceservice-config", "kserve", data=configuration),
        workload(
            "argocd",
            "argocd-applicationset-controller",
            "argocd-applicationset-controller",
            "quay.io/argoproj/argocd:v3.6.0",
        ),
        project,
        manifest("argocd/applicationset.yaml", "argocd"),
        runtime,
        gateway,
        simple("Secret", "artifact-store", "models", data={}),
        simple("Secret", "tokens", "models", data={"token": "cw=="}),
        simple("ResourceQuota", "team", "models", spec={}, status=quota),
        *yaml.safe_load_all(DATA.read_text()),
    ]


@pytest.fixture
def server(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServerStandIn]:
    with ApiServerStandIn() as stand_in:
        stand_in.objects = whole_cluster(place.remote)
        monkeypatch.setenv("KUBECONFIG", str(stand_in.kubeconfig(tmp_path)))
        yield stand_in


@pytest.fixture
def findings(place: Place, server: ApiServerStandIn) -> Callable[..., dict[str, tuple[str, str]]]:
    """State and message by subject, for a model that is served so."""

    def examine(serving: dict[str, Any] = SERVING, **more: Any) -> dict[str, tuple[str, str]]:
        listed = check_cluster(place.remote, ApiServer(), [model_spec(NAME, serving=serving, **more)])
        return {finding.subject: (finding.state, finding.message) for finding in listed}

    return examine


def named(server: ApiServerStandIn, name: str, kind: str = "") -> dict[str, Any]:
    return next(
        entry for entry in server.objects if entry["metadata"]["name"] == name and entry["kind"].startswith(kind)
    )


def remove(server: ApiServerStandIn, name: str, kind: str = "") -> None:
    server.objects.remove(named(server, name, kind))


def test_a_cluster_that_has_everything_lacks_nothing(findings: Any) -> None:
    seen = findings()
    assert {state for state, _ in seen.values()} == {"ok"}
    assert seen["Kubernetes"] == ("ok", "v1.35.4") and seen["KServe"] == ("ok", "v0.20.0")
    assert seen["Argo CD"] == ("ok", "v3.6.0")
    assert seen["Gateway gateways/public"] == ("ok", "is programmed")
    assert seen["deployment mode"][1] == "KServe's default is Knative; each manifest names its own"
    assert seen[f"ServiceAccount {NAME} in models"][1] == "comes with the first release"
    assert seen[f"ResourceQuota team for {NAME} in models"] == ("ok", "leaves what 2 new pods need")


def _drop_runtime_digest(server: ApiServerStandIn) -> None:
    container = named(server, "ostinato-mlflow")["spec"]["containers"][0]
    container["image"] = "ostinato@sha256:" + "0" * 64


def _tag(server: ApiServerStandIn, name: str, image: str) -> None:
    named(server, name)["spec"]["template"]["spec"]["containers"][0]["image"] = image


BREAKS: list[tuple[Callable[[ApiServerStandIn], Any], str, str]] = [
    (lambda server: setattr(server, "version", "v1.29.1"), "Kubernetes", "v1.29.1 is older than 1.30"),
    (lambda server: server.missing.add("inferenceservices"), "KServe", "it is not installed"),
    (lambda server: _tag(server, "kserve-controller-manager", "kserve/kserve-controller:v0.15.2"), "KServe", "older"),
    (lambda server: server.missing.update(("gateways", "httproutes")), "Gateway API", "it is not installed"),
    (lambda server: remove(server, "public"), "Gateway gateways/public", "it is not there"),
    (lambda server: named(server, "public").pop("status"), "Gateway gateways/public", "no controller has looked at it"),
    (
        lambda server: named(server, "inferenceservice-config")["data"].update(ingress='{"enableGatewayApi": false}'),
        "canaries",
        "demand-forecaster would get no share of the requests",
    ),
    (lambda server: server.missing.update(("applicationsets", "appprojects")), "Argo CD", "it is not installed"),
    (
        lambda server: _tag(server, "argocd-applicationset-controller", "quay.io/argoproj/argocd:v3.1.8"),
        "Argo CD",
        "v3.1.8 is older than 3.2: it has no retry.refresh",
    ),
    (lambda server: remove(server, "ostinato", "AppProject"), "Argo CD's project", "no AppProject ostinato"),
    (
        lambda server: named(server, "ostinato", "AppProject")["spec"].update(sourceRepos=["https://else.org/x.git"]),
        "Argo CD's project",
        "it does not allow repository",
    ),
    (
        lambda server: named(server, "ostinato", "AppProject")["spec"].update(destinations=[]),
        "Argo CD's project",
        "it does not allow namespace models",
    ),
    (
        lambda server: named(server, "ostinato", "AppProject")["spec"]["namespaceResourceWhitelist"].pop(),
        "Argo CD's project",
        "it does not allow kind HTTPRoute",
    ),
    (lambda server: remove(server, "ostinato", "ApplicationSet"), "Argo CD's ApplicationSet", "there is no ostinato"),
    (
        lambda server: named(server, "ostinato", "ApplicationSet")["spec"].pop("syncPolicy"),
        "Argo CD's ApplicationSet",
        "a change of git may delete services",
    ),
    (lambda server: remove(server, "models"), "Namespace models", "Argo CD may not make it"),
    (
        lambda server: remove(server, "ostinato-mlflow"),
        f"runtime ostinato-mlflow of {NAME} in models",
        "it is not there",
    ),
    (_drop_runtime_digest, f"runtime ostinato-mlflow of {NAME} in models", "still zeros"),
    (
        lambda server: named(server, "ostinato-mlflow")["spec"].update(disabled=True),
        f"runtime ostinato-mlflow of {NAME} in models",
        "it is disabled",
    ),
    (
        lambda server: named(server, "ostinato-mlflow")["spec"].update(protocolVersions=["v1"]),
        f"runtime ostinato-mlflow of {NAME} in models",
        "it does not list the protocol v2",
    ),
    (lambda server: remove(server, "artifact-store"), f"Secret artifact-store of {NAME} in models", "not there"),
    (lambda server: named(server, "tokens").pop("data"), f"Secret tokens of {NAME} in models", "it has no key token"),
    (
        lambda server: named(server, "team")["status"]["used"].update({"requests.memory": "5Gi"}),
        f"ResourceQuota team for {NAME} in models",
        "5Gi of 8Gi requests.memory are used; 2 new pods need 4294967296",
    ),
]


@pytest.mark.parametrize(("damage", "subject", "words"), BREAKS, ids=[f"{row[1]}: {row[2]}" for row in BREAKS])
def test_each_thing_that_is_missing_is_named(
    damage: Callable[[ApiServerStandIn], Any], subject: str, words: str, server: ApiServerStandIn, findings: Any
) -> None:
    damage(server)
    state, message = findings()[subject]
    assert state == "missing" and words in message


def test_a_format_is_matched_as_kserve_matches_it(server: ApiServerStandIn, findings: Any) -> None:
    serving = {"runtime": "kserve-sklearnserver", "model_format": "sklearn", "protocol": "v1"}
    subject = f"runtime kserve-sklearnserver of {NAME} in models"
    assert findings(serving)[subject] == ("ok", "takes sklearn")
    named(server, "kserve-sklearnserver")["spec"]["supportedModelFormats"][0]["name"] = "SKLearn"
    assert findings(serving)[subject] == ("missing", "it takes SKLearn, not sklearn")


def test_knative_and_keda_are_looked_for_only_where_a_model_needs_them(findings: Any) -> None:
    knative = {"deployment_mode": "Knative", "scaling": {"min_replicas": 0}}
    assert findings(knative)["Knative"] == ("missing", f"{NAME} can't be served without it")
    keda = {"scaling": {"autoscaler": "keda", "metric": "cpu", "target": 70, "max_replicas": 2}}
    assert findings(keda)["KEDA"][0] == "missing"
    assert {"Knative", "KEDA"}.isdisjoint(findings())


def test_a_release_beside_a_pod_that_serves_needs_one_more_and_none_where_the_old_one_ends_first(
    server: ApiServerStandIn, findings: Any
) -> None:
    service = recorded("healthy")
    service["metadata"] |= {"name": NAME, "namespace": "models"}
    server.objects.append(service)
    subject = f"ResourceQuota team for {NAME} in models"
    assert findings()[subject][1] == "leaves what 1 new pods need"
    named(server, "team")["status"]["used"]["pods"] = "4"
    assert findings()[subject] == ("missing", "4 of 4 pods are used; 1 new pods need 1")
    assert findings({"rollout": "recreate"})[subject][0] == "ok"


def test_what_may_not_be_read_is_not_known_and_not_in_order(server: ApiServerStandIn, findings: Any) -> None:
    server.forbidden |= {"secrets", "deployments"}
    seen = findings()
    assert seen[f"secrets of {NAME} in models"] == (
        "unknown",
        "you may not read /api/v1/namespaces/models/secrets/artifact-store",
    )
    assert {subject for subject, (state, _) in seen.items() if state == "unknown"} == {
        "KServe",
        "Argo CD",
        f"secrets of {NAME} in models",
    }


def test_a_cluster_that_refuses_everything_is_an_error(server: ApiServerStandIn, findings: Any) -> None:
    server.refuses = 401
    with pytest.raises(OstinatoError, match="401 Unauthorized for /version: log in again, as for kubectl"):
        findings()


def test_the_command_says_it_and_exits_as_it_should(
    place: Place, server: ApiServerStandIn, ostinato: Any, tmp_path: Path, workspace: Path
) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": place.remote, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    text = ostinato("doctor", "--cluster", expect=0, **where).out
    assert "Gateway gateways/public" in text and "✗" not in text
    remove(server, "models")
    finished = ostinato("doctor", NAME, "--cluster", expect=3, **where)
    assert "kubectl create namespace models" in finished.out
    assert finished.err == "refused: a release would not come through; missing or wrong: Namespace models\n"
    listed = json.loads(ostinato("doctor", "--cluster", "--json", expect=3, **where).out)
    assert [entry["subject"] for entry in listed if entry["state"] == "missing"] == ["Namespace models"]
    assert "--cluster" in ostinato("doctor", expect=2, **where).err
    assert "Set KUBECONFIG" in ostinato("doctor", "--cluster", expect=2, **{**where, "KUBECONFIG": "gone"}).err
    server.refuses = 401
    assert "log in again" in ostinato("doctor", "--cluster", expect=1, **where).err
