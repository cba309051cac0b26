"""Argo CD is set up with one address, no more rights than the models need, and one Application for every model."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops.conftest import MODELS
from harness.manifest_tree import SEED, built, checkout, kubectl, only, with_environments

Documents = list[dict[str, Any]]
RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"


@pytest.fixture(params=["one environment", "staging and production"])
def argocd(request: pytest.FixtureRequest, manifests: Path, tmp_path: Path) -> Documents:
    tree = checkout(manifests, tmp_path / "seed")
    return built((with_environments(tree) if request.param != "one environment" else tree) / "argocd")


def application_specs(documents: Documents) -> list[dict[str, Any]]:
    """Of every Application, and of the template that the others are made from."""
    applications = [one["spec"] for one in documents if one["kind"] == "Application"]
    return [*applications, only(documents, "ApplicationSet")["spec"]["template"]["spec"]]


def test_the_repositorys_address_is_set_in_one_place(manifests: Path, tmp_path: Path) -> None:
    tree = with_environments(checkout(manifests, tmp_path / "seed"))
    files = [file for file in tree.rglob("*.yaml") if "git.example.org" in file.read_text()]
    assert [file.relative_to(tree).as_posix() for file in files] == ["argocd/project.yaml"]
    project = tree / "argocd" / "project.yaml"
    ours = "https://forge.example.net/ml/live.git"
    project.write_text(re.sub(r"https://git\.example\.org\S+", ours, project.read_text()))
    documents = built(tree / "argocd")
    (generator,) = only(documents, "ApplicationSet")["spec"]["generators"]
    addresses = [one["source"]["repoURL"] for one in application_specs(documents)] + [generator["git"]["repoURL"]]
    assert addresses == [ours] * 4
    assert only(documents, "AppProject")["spec"]["sourceRepos"] == [ours]


def test_all_of_it_is_made_in_argo_cds_namespace_and_belongs_to_the_project(argocd: Documents) -> None:
    assert {one["metadata"]["namespace"] for one in argocd} == {"argocd"}
    assert {one["project"] for one in application_specs(argocd)} == {only(argocd, "AppProject")["metadata"]["name"]}


def test_a_failed_sync_is_tried_again_and_drift_is_healed(argocd: Documents) -> None:
    for spec in application_specs(argocd):
        policy = spec["syncPolicy"]
        assert policy["automated"] == {"prune": True, "selfHeal": True}
        assert policy["retry"]["limit"] > 0 and policy["retry"]["refresh"] is True
        assert {"ServerSideApply=true", "FailOnSharedResource=true", "CreateNamespace=false"} <= set(
            policy["syncOptions"]
        )
    template = only(argocd, "ApplicationSet")["spec"]["template"]
    assert "RespectIgnoreDifferences=true" in template["spec"]["syncPolicy"]["syncOptions"]
    applications = [one for one in argocd if one["kind"] == "Application"]
    for metadata in (template["metadata"], *(one["metadata"] for one in applications)):
        assert metadata["annotations"] == {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}


def test_the_project_allows_what_is_reconciled_and_nothing_more(released: Path) -> None:
    project = only(built(released / "argocd"), "AppProject")["spec"]
    assert project["clusterResourceWhitelist"] == []
    allowed = {(one["group"], one["kind"]) for one in project["namespaceResourceWhitelist"]}
    assert allowed == {
        ("serving.kserve.io", "InferenceService"),
        ("serving.kserve.io", "LLMInferenceService"),
        ("serving.kserve.io", "ServingRuntime"),
        ("", "ServiceAccount"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
    }
    namespaces = {one["namespace"] for one in project["destinations"]}
    assert namespaces == {"models", "models-staging"}
    for folder in ("models", "environments/staging", "environments/production"):
        for document in built(released / folder / MODELS[0]):
            group, _, _ = document["apiVersion"].rpartition("/")
            assert (group, document["kind"]) in allowed and document["metadata"]["namespace"] in namespaces


def rendered(documents: Documents, folder: str) -> dict[str, str]:
    """Name, namespace and path of the Application for a folder, by the Go template engine that Argo CD uses too.

    kubectl runs it, over what Argo CD's git directory generator gives; a missing name is an error in both.
    """
    path = {"path": folder, "basename": folder.rpartition("/")[2], "segments": folder.split("/")}
    source = {"apiVersion": "v1", "kind": "Parameters", "metadata": {"name": "x"}, "path": path}
    template = only(documents, "ApplicationSet")["spec"]["template"]
    wanted = {
        "name": template["metadata"]["name"],
        "namespace": template["spec"]["destination"]["namespace"],
        "path": template["spec"]["source"]["path"],
    }
    file = Path("parameters.json")
    file.write_text(json.dumps(source))
    line = "\n".join(wanted.values())
    strict = "--allow-missing-template-keys=false"
    out = kubectl("label", "--local", f"--filename={file}", "a=b", strict, f"--output=go-template={line}")
    return dict(zip(wanted, out.splitlines(), strict=True))


def found_by(documents: Documents, tree: Path) -> list[str]:
    """The folders that the generator finds in a tree."""
    (generator,) = only(documents, "ApplicationSet")["spec"]["generators"]
    patterns = [one["path"] for one in generator["git"]["directories"]]
    folders = [path for pattern in patterns for path in tree.glob(pattern) if path.is_dir()]
    return sorted(path.relative_to(tree).as_posix() for path in folders)


def test_one_environment_has_one_application_a_model(released: Path) -> None:
    documents = built(released / "argocd")
    assert [rendered(documents, folder) for folder in found_by(documents, released)] == [
        {"name": f"ostinato.models.{name}", "namespace": "models", "path": f"models/{name}"} for name in MODELS
    ]


def test_environments_have_one_in_each_and_productions_keeps_the_name_of_the_simple_shape(released: Path) -> None:
    documents = built(with_environments(released) / "argocd")
    names = {rendered(documents, folder)["name"]: folder for folder in found_by(documents, released)}
    assert names == {
        **{f"ostinato.models.{name}": f"environments/production/{name}" for name in MODELS},
        **{f"ostinato.models.{name}.staging": f"environments/staging/{name}" for name in MODELS},
    }
    for folder in names.values():
        found = rendered(documents, folder)
        assert found["path"] == folder
        assert {found["namespace"]} == {one["metadata"]["namespace"] for one in built(released / folder)}


def test_the_applications_of_the_runtimes_can_not_be_mistaken_for_a_models(argocd: Documents) -> None:
    applications = {one["metadata"]["name"]: one["spec"] for one in argocd if one["kind"] == "Application"}
    assert not any(name.startswith("ostinato.models.") for name in applications)
    for name, spec in applications.items():
        assert (SEED / spec["source"]["path"] / "kustomization.yaml").is_file()
        assert spec["destination"]["namespace"] == ("models-staging" if name.endswith(".staging") else "models")


def test_no_field_that_a_manifest_sets_is_ignored(released: Path) -> None:
    (ignored,) = only(built(released / "argocd"), "ApplicationSet")["spec"]["template"]["spec"]["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("serving.kserve.io", "InferenceService")
    nothing = dict.fromkeys(ignored["jqPathExpressions"])
    for name in MODELS:
        manifest = only(built(released / "models" / name), "InferenceService")
        assert value_at(manifest, ".spec.predictor.model.storageUri")
        assert {path: value_at(manifest, path) for path in nothing} == nothing


def value_at(document: Any, path: str) -> Any:
    """What a jq path of plain keys leads to, None if nothing is there."""
    keys = [plain or quoted for plain, quoted in re.findall(r'\.([A-Za-z]+)|\["([^"]+)"\]', path)]
    assert "".join(f".{key}" if key.isalpha() else f'["{key}"]' for key in keys) == path
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def test_what_a_folder_made_outlives_the_folder_and_a_generator_that_fails(argocd: Documents) -> None:
    policy = only(argocd, "ApplicationSet")["spec"]["syncPolicy"]
    assert policy == {"applicationsSync": "create-update", "preserveResourcesOnDeletion": True}


def test_applying_again_agrees_with_what_the_controller_writes_back(argocd: Documents) -> None:
    recorded = yaml.safe_load((RECORDED / "argocd-applicationset-healthy.yaml").read_text())
    (generator,) = only(argocd, "ApplicationSet")["spec"]["generators"]
    (written_back,) = recorded["spec"]["generators"]
    ours = {"requeueAfterSeconds"}  # of the recorded one, for a short test
    assert set(generator["git"]) == set(written_back["git"]) - ours
    assert generator["git"]["template"] == written_back["git"]["template"]


def without(document: dict[str, Any], *paths: str) -> dict[str, Any]:
    """A copy without some fields."""
    rest = json.loads(json.dumps(document))
    for path in paths:
        *parents, last = path.split(".")
        parent = rest
        for key in parents:
            parent = parent[key]
        parent.pop(last, None)
    return rest


@pytest.mark.parametrize("environments", [False, True])
def test_the_upgrade_renames_only_while_services_stay_behind(released: Path, environments: bool) -> None:
    tree = with_environments(released) if environments else released
    old_names = {
        f"models/{MODELS[0]}": MODELS[0],
        f"environments/production/{MODELS[0]}": MODELS[0],
        f"environments/staging/{MODELS[0]}": f"{MODELS[0]}.staging",
    }
    folders = [folder for folder in found_by(built(tree / "argocd"), tree) if folder.endswith(MODELS[0])]
    steps = [
        built(tree / folder) for folder in ("argocd-upgrade/1-keep-services", "argocd-upgrade/2-new-names", "argocd")
    ]
    keep, rename, end = (only(documents, "ApplicationSet") for documents in steps)
    for folder in folders:
        names = [rendered(documents, folder)["name"] for documents in steps]
        assert names[0] == old_names[folder] and names[1] == names[2] == f"ostinato.models.{old_names[folder]}"
    for step in (keep, rename):
        assert step["spec"]["syncPolicy"] == {"preserveResourcesOnDeletion": True}
        assert "FailOnSharedResource=true" not in step["spec"]["template"]["spec"]["syncPolicy"]["syncOptions"]
    name, policy = "spec.template.metadata.name", "spec.syncPolicy"
    options = "spec.template.spec.syncPolicy.syncOptions"
    assert without(keep, name) == without(rename, name)
    assert without(rename, policy, options) == without(end, policy, options)
    others = [[one for one in documents if one["kind"] != "ApplicationSet"] for documents in steps]
    assert others[0] == others[1] == others[2]
