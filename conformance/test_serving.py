"""docs/how-to/serving.md on a real KServe, without Argo CD: `kubectl apply` does what it would."""

import json

import pytest
from release.shapes import shapes

from conformance.cluster import Failed, apply, command, kubectl, namespace, read, wait_for
from conformance.conftest import need
from conformance.workspace import MODEL, ROOT, Workspace

SHAPES = shapes()
ROUTE = "httproutes.gateway.networking.k8s.io"
LOAD_S = 90
NOWHERE = "/nowhere"
"""A kubeconfig that is not there."""


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.title for shape in SHAPES])
def test_every_shape_is_admitted_strictly(shape, met: dict[str, str], run_name: str) -> None:
    need(met, "KServe")
    with namespace(run_name, "shapes") as name:
        content = shape.rendered(namespace=name).decode()
        try:
            apply(content, "", "--dry-run=server", "--validate=strict")
        except Failed as refusal:
            if "no matches for kind" not in str(refusal):
                raise
            pytest.skip("the cluster does not know one of its kinds")


def test_a_first_version_serves_and_answers_as_it_was_judged(served: Workspace) -> None:
    row = served.live()
    assert row["differences"] == [] and row["message"] == "The model is loaded and serves."
    forwarded = f"""
        kubectl --namespace {served.namespace} port-forward service/{MODEL}-predictor 18080:80 >/dev/null &
        trap "kill $!" EXIT
        ostinato verify {MODEL} --url http://127.0.0.1:18080 --wait 60
    """
    places = {"OSTINATO_WORKSPACE": str(served.root), "OSTINATO_MANIFESTS_REMOTE": served.remote}
    command("bash", "-c", forwarded, expect=0, **places)


def test_a_roll_out_under_load_loses_no_request(served: Workspace) -> None:
    served.live()
    rows = json.loads(kubectl("get", "--raw", metadata_path(served)))
    inputs = [
        {"name": entry["name"], "datatype": entry["datatype"], "shape": [1], "data": [0]} for entry in rows["inputs"]
    ]
    url = f"http://{MODEL}-predictor.{served.namespace}/v2/models/{MODEL}/infer"
    script = (ROOT / "conformance" / "load.py").read_text()
    image = read("servingruntime", "ostinato-mlflow", served.namespace)["spec"]["containers"][0]["image"]
    arguments = ("--", "python", "-c", script, url, json.dumps({"inputs": inputs}), str(LOAD_S))
    kubectl("-n", served.namespace, "run", "load", f"--image={image}", "--restart=Never", "--command", *arguments)
    try:
        wait_for("the load", lambda: "Running" in phase(served, "load") or None)
        served.serve(timeout_s=45)
        served.release("2013-06-15")
        served.sync()
        served.live()
        wait_for("the end of the load", lambda: "Succeeded" in phase(served, "load") or None)
        counted = json.loads(kubectl("-n", served.namespace, "logs", "load").splitlines()[-1])
    finally:
        kubectl("-n", served.namespace, "delete", "pod", "load", "--ignore-not-found", "--wait=false")
    assert counted["asked"] > LOAD_S and counted["lost"] == []


def metadata_path(served: Workspace) -> str:
    """Of the model's own description, through the API server."""
    service = f"/api/v1/namespaces/{served.namespace}/services/{MODEL}-predictor:80/proxy"
    return f"{service}/v2/models/{MODEL}"


def phase(served: Workspace, pod: str) -> str:
    return (read("pod", pod, served.namespace) or {}).get("status", {}).get("phase", "")


def test_a_crash_loop_behind_a_serving_pod_is_progressing_then_degraded_with_its_words(served: Workspace) -> None:
    before = served.live()["cluster_version"]
    digest = read("inferenceservice", MODEL, served.namespace)["metadata"]["annotations"]["ostinato.dev/model-digest"]
    manifest = (served.checkout() / "models" / MODEL / "inferenceservice.yaml").read_text()
    apply(manifest.replace(f"value: {digest}", "value: sha256:" + "0" * 64), "", "--force-conflicts")
    try:
        assert served.health("Progressing")["message"].startswith("The new version is rolling out")
        row = served.health("Degraded")
        assert row["cluster_version"] == before and "digest" in row["message"]
    finally:
        served.sync()
    served.live()


def test_a_rollback_brings_the_version_before(served: Workspace) -> None:
    first = served.live()["cluster_version"]
    second = served.release("2014-06-15")
    served.sync()
    assert served.live()["cluster_version"] == second != first
    served.ostinato("rollback", MODEL)
    served.sync()
    assert served.live()["cluster_version"] == first


def test_a_canary_gets_its_share_and_becomes_the_live_version(served: Workspace, met: dict[str, str]) -> None:
    need(met, "Gateway API")
    served.serve(scaling={"min_replicas": 2, "max_replicas": 2})
    candidate = served.release("2015-06-15")
    served.ostinato("rollback", MODEL)
    served.ostinato("canary", MODEL, "--percent", "10", "--version", candidate)
    served.sync()
    served.live()
    backends = read(ROUTE, MODEL, served.namespace)["spec"]["rules"][0]["backendRefs"]
    assert sorted(entry["weight"] for entry in backends) == [10, 90]
    served.ostinato("canary", MODEL, "--finish", KUBECONFIG=NOWHERE)  # it would wait for whoever syncs: that is us
    served.sync()
    served.live()
    served.ostinato("canary", MODEL, "--finish", KUBECONFIG=NOWHERE)
    served.sync()
    assert served.live()["cluster_version"] == candidate


def test_a_shadow_gets_a_copy_and_its_route_is_accepted(served: Workspace, met: dict[str, str]) -> None:
    need(met, "Gateway API")
    gateway = json.loads(kubectl("get", "gateways.gateway.networking.k8s.io", "-A", "-o", "json"))["items"]
    if not gateway:
        pytest.skip("there is no Gateway")
    about = gateway[0]["metadata"]
    hostname = f"{MODEL}.conformance.example.org"
    served.serve(gateway={"name": about["name"], "namespace": about["namespace"], "hostname": hostname})
    version = served.live()["cluster_version"]
    served.ostinato("shadow", MODEL, "--version", version)
    served.sync()

    def accepted() -> bool | None:
        parents = read(ROUTE, f"{MODEL}-mirror", served.namespace).get("status", {}).get("parents", [])
        conditions = [entry for parent in parents for entry in parent["conditions"]]
        return any(entry["type"] == "Accepted" and entry["status"] == "True" for entry in conditions) or None

    assert wait_for("the mirror route", accepted)
    served.ostinato("shadow", MODEL, "--off")
