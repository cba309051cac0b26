"""Every kustomization of the repository builds offline, and every document that comes out is valid, field by field."""

from pathlib import Path
from typing import Any

import pytest
from gitops.conftest import MODELS
from harness.contracts import kind_validator
from harness.manifest_tree import CLOSED, SEED, built, checkout, kustomizations, only, with_environments
from harness.registered import Place

from delivery.releases.environments import commit_promotion


def problems(document: dict[str, Any]) -> list[str]:
    """What an API server would refuse about a document."""
    validator = kind_validator(document)
    if validator is not None:
        return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(document)]
    return sorted(document.keys() - CLOSED.get(document["kind"], set()))


def check_tree(tree: Path) -> dict[str, list[dict[str, Any]]]:
    """Documents by folder, all of them valid."""
    found = {}
    for folder in kustomizations(tree):
        where = folder.relative_to(tree).as_posix()
        found[where] = built(folder)
        wrong = {one["metadata"]["name"]: problems(one) for one in found[where]}
        assert found[where] and not any(wrong.values()), f"{where}: {wrong}"
    return found


def test_the_seed_builds_and_is_valid_in_both_shapes(manifests: Path, tmp_path: Path) -> None:
    tree = checkout(manifests, tmp_path / "tree")
    upgrade = {"argocd-upgrade/1-keep-services", "argocd-upgrade/2-new-names"}
    assert set(check_tree(tree)) == {"argocd", *upgrade, "runtimes", "runtimes-staging"}
    assert len(check_tree(with_environments(tree))["argocd"]) == 5


def test_the_tree_after_real_releases_and_promotions_builds_and_is_valid(released: Path) -> None:
    found = check_tree(released)
    places = ("models", "environments/staging", "environments/production")
    assert set(found) >= {f"{place}/{name}" for place in places for name in MODELS}
    for name in MODELS:
        for place, namespace, replicas in zip(
            places, ("models", "models-staging", "models"), ((2, 3), (1, 1), (2, 3)), strict=True
        ):
            service = only(found[f"{place}/{name}"], "InferenceService")
            if name == MODELS[0] and place != "environments/production":
                replicas = (1, 1)  # the second release has the spec's defaults
            predictor = service["spec"]["predictor"]
            assert service["metadata"] | {"annotations": {}} == {
                "name": name,
                "namespace": namespace,
                "annotations": {},
            }
            assert (predictor["minReplicas"], predictor["maxReplicas"]) == replicas
    version = "ostinato.dev/model-version"
    at = {place: only(found[f"{place}/{MODELS[0]}"], "InferenceService")["metadata"]["annotations"] for place in places}
    assert [at[place][version] for place in places] == ["2", "2", "1"]


def test_the_check_would_notice_an_unknown_field(released: Path) -> None:
    service = only(built(released / "environments" / "staging" / MODELS[0]), "InferenceService")
    service["spec"]["predictor"]["model"]["storageURL"] = "s3://typo"
    assert any("storageURL" in problem for problem in problems(service))


def test_staging_leaves_productions_hostname_alone(place: Place, tmp_path: Path) -> None:
    place.release("1")
    file = f"models/{MODELS[0]}/inferenceservice.yaml"
    route = (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        f"metadata: {{name: {MODELS[0]}, namespace: models}}\nspec: {{hostnames: [bikes.example.org]}}\n"
    )
    tree = checkout(place.manifests, tmp_path / "before")
    place.commit(file, (tree / file).read_bytes() + route.encode())
    tree = checkout(place.manifests, tmp_path / "after")
    released = {one["kind"] for one in built(tree / "models" / MODELS[0])}
    staging = {one["kind"] for one in built(tree / "environments" / "staging" / MODELS[0])}
    assert "HTTPRoute" in released and staging == released - {"HTTPRoute"}


def test_production_builds_to_exactly_what_was_released(place: Place, tmp_path: Path) -> None:
    place.release("1")
    commit_promotion(place.remote, MODELS[0])
    tree = checkout(place.manifests, tmp_path / "tree")
    released, live = tree / "models" / MODELS[0], tree / "environments" / "production" / MODELS[0]
    assert built(live) == built(released)
    assert (live / "inferenceservice.yaml").read_bytes() == (released / "inferenceservice.yaml").read_bytes()


def test_the_runtime_gets_the_projects_image_and_a_digest_that_can_not_be_pulled_by_mistake() -> None:
    for folder in ("runtimes", "runtimes-staging"):
        (container,) = only(built(SEED / folder), "ServingRuntime")["spec"]["containers"]
        assert container["image"] == "registry.example.org/ostinato@sha256:" + "0" * 64


def test_staging_can_have_a_newer_runtime_than_production(manifests: Path, tmp_path: Path) -> None:
    tree = checkout(manifests, tmp_path / "tree")
    file = tree / "runtimes-staging" / "kustomization.yaml"
    hint = file.read_text().split("#   ")[1].replace("…", "1" * 64)
    file.write_text(f"resources: [../runtimes]\n{hint.splitlines()[0]}\n")
    (newer,) = only(built(tree / "runtimes-staging"), "ServingRuntime")["spec"]["containers"]
    (stays,) = only(built(tree / "runtimes"), "ServingRuntime")["spec"]["containers"]
    assert newer["image"] == "registry.example.org/ostinato@sha256:" + "1" * 64
    assert stays["image"].endswith("0" * 64)


@pytest.mark.parametrize("kind", sorted(CLOSED))
def test_kubernetes_own_kinds_are_checked_for_unknown_fields_too(kind: str) -> None:
    assert problems({"apiVersion": "v1", "kind": kind, "metadata": {}, "specs": {}}) == ["specs"]
