"""docs/how-to/gitops.md on a real Argo CD, from its five steps to a retirement."""

import json

import pytest
import yaml

from conformance.cluster import apply, command, kubectl, read, wait_for
from conformance.workspace import MODEL, Workspace

APPLICATION = f"ostinato.models.{MODEL}"


def argocd_documents(workspace: Workspace) -> str:
    """`kubectl kustomize argocd` of the live tree, with this run's address and namespaces."""
    text = kubectl("kustomize", str(workspace.checkout() / "argocd"))
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        if document["kind"] == "AppProject":
            document["spec"]["sourceRepos"] = [workspace.remote]
    text = yaml.safe_dump_all(documents)
    text = text.replace("https://git.example.org/platform/manifests.git", workspace.remote)
    for line in ("namespace: models", "namespace: 'models{{", "namespace: models{{"):
        text = text.replace(line, line.replace("models", workspace.namespace))
    return text


def tell_argocd(workspace: Workspace, *options: str) -> None:
    apply(argocd_documents(workspace), "", "--field-manager=ostinato-conformance", *options)


def application(name: str = APPLICATION) -> dict | None:
    return read("applications.argoproj.io", name, "argocd")


def synced(workspace: Workspace, name: str = APPLICATION) -> dict:
    """The Application as soon as it has the live commit and is healthy."""
    commit = command("git", "-C", str(workspace.checkout()), "rev-parse", "HEAD").strip()

    def look() -> dict | None:
        status = (application(name) or {}).get("status", {})
        state = (status.get("sync", {}).get("status"), status.get("health", {}).get("status"))
        return status if state == ("Synced", "Healthy") and status["sync"]["revision"] == commit else None

    return wait_for(f"{name} Synced and Healthy", look, 900)


def uid(workspace: Workspace) -> str:
    return read("inferenceservice", MODEL, workspace.namespace)["metadata"]["uid"]


def test_a_push_is_synced_and_healthy(followed: Workspace) -> None:
    tell_argocd(followed)
    synced(followed)
    assert followed.live()["differences"] == []


def test_argocd_is_applied_a_second_time_without_a_conflict(followed: Workspace) -> None:
    kubectl("-n", "argocd", "annotate", "applicationset", "ostinato", "argocd.argoproj.io/application-set-refresh=true")
    synced(followed)
    tell_argocd(followed)


def test_what_somebody_adds_by_hand_is_shown(followed: Workspace) -> None:
    where = ("-n", followed.namespace, "annotate", "inferenceservice", MODEL)
    kubectl(*where, "example.org/owner=ann")
    try:
        (difference,) = followed.status()["differences"]
        assert difference == {"field": "metadata.annotations.example.org/owner", "git": None, "cluster": "ann"}
    finally:
        kubectl(*where, "example.org/owner-")


def test_a_rollback_is_followed(followed: Workspace) -> None:
    first = followed.live()["cluster_version"]
    followed.release("2014-06-15")
    synced(followed)
    followed.ostinato("rollback", MODEL)
    synced(followed)
    assert followed.live()["cluster_version"] == first


@pytest.mark.parametrize("order", ["push first", "apply first"])
def test_the_switch_to_two_environments_keeps_the_service(order: str, followed: Workspace) -> None:
    followed.live()
    before, path = uid(followed), "argocd/kustomization.yaml"
    switch = (path, "# components: [environments]", "components: [environments]")
    followed.ostinato("promote", MODEL, "--to", "production")
    if order == "push first":
        followed.commit("Two environments", switch)
        tell_argocd(followed)
    else:
        followed.commit("Two environments", switch)
        documents = argocd_documents(followed)
        followed.commit("One again", (path, switch[2], switch[1]))
        apply(documents, "", "--field-manager=ostinato-conformance")
        followed.commit("Two environments", switch)
    synced(followed)
    synced(followed, f"{APPLICATION}.staging")
    assert uid(followed) == before
    followed.commit("One environment", (path, switch[2], switch[1]))
    tell_argocd(followed)
    synced(followed)
    assert uid(followed) == before


def test_a_retired_model_goes_by_the_commands_that_are_printed(followed: Workspace) -> None:
    followed.live()
    printed = followed.ostinato("retire", MODEL)
    assert followed.ostinato("status", "--cluster").count("has no folder in git") >= 1
    for line in printed.splitlines():
        if line.strip().startswith("kubectl "):
            command(*line.split())
    wait_for(
        "the end of the service", lambda: True if read("inferenceservice", MODEL, followed.namespace) is None else None
    )
    names = json.loads(kubectl("-n", "argocd", "get", "applications.argoproj.io", "-o", "json"))["items"]
    assert APPLICATION not in [entry["metadata"]["name"] for entry in names]
