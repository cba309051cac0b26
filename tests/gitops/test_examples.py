"""The examples are valid for the published CRDs, hold no secret, name fixed versions, and are applied by nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.contracts import kind_validator
from harness.manifest_tree import SEED, built, only, with_environments
from harness.manifest_tree import checkout as checked_out

EXAMPLES = SEED / "examples"
DOCUMENTS = [
    (file.relative_to(EXAMPLES).as_posix(), document)
    for file in sorted(EXAMPLES.rglob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
NAMED = [pytest.param(document, id=f"{file} {document['kind']}") for file, document in DOCUMENTS]


def problems(document: dict[str, Any]) -> list[str]:
    validator = kind_validator(document)
    assert validator, f"no CRD for {document['kind']}"
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(document)]


def test_every_shape_is_there() -> None:
    assert [(file, document["kind"]) for file, document in DOCUMENTS] == [
        ("modelmesh/inferenceservice.yaml", "InferenceService"),
        ("modelmesh/servingruntime.yaml", "ServingRuntime"),
        ("nim/helm-application.yaml", "AppProject"),
        ("nim/helm-application.yaml", "Application"),
        ("nim/nimservice-kserve.yaml", "NIMService"),
        ("nim/nimservice-standalone.yaml", "NIMService"),
    ]
    platforms = {document["spec"].get("inferencePlatform") for _, document in DOCUMENTS}
    assert platforms == {None, "kserve", "standalone"}


@pytest.mark.parametrize("document", NAMED)
def test_an_example_is_valid_for_the_published_crd(document: dict[str, Any]) -> None:
    assert problems(document) == []


@pytest.mark.parametrize("document", NAMED)
def test_the_check_would_notice_an_unknown_field(document: dict[str, Any]) -> None:
    assert any("unheardOf" in one for one in problems({**document, "spec": {**document["spec"], "unheardOf": 1}}))


@pytest.mark.parametrize("document", NAMED)
def test_secrets_are_named_and_versions_are_fixed(document: dict[str, Any]) -> None:
    for key, value in scalars(document):
        assert not re.search(r"nvapi-|password|BEGIN", str(value)), key
        if key in ("tag", "targetRevision"):
            assert re.fullmatch(r"\d+\.\d+\.\d+", value), (key, value)
        if key == "image":
            assert re.search(r":\d[\w.-]+$", value), value
    assert document["kind"] != "Secret"


def scalars(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from scalars(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from scalars(value, key)
    else:
        yield key, node


def test_the_modelmesh_service_names_the_runtime_beside_it_which_loads_its_format() -> None:
    documents = [document for file, document in DOCUMENTS if file.startswith("modelmesh/")]
    service, runtime = only(documents, "InferenceService"), only(documents, "ServingRuntime")
    model = service["spec"]["predictor"]["model"]
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "ModelMesh"}
    assert model["storage"]["key"] and "storageUri" not in model
    assert model["runtime"] == runtime["metadata"]["name"] and runtime["spec"]["multiModel"] is True
    formats = {(one["name"], one["version"]) for one in runtime["spec"]["supportedModelFormats"]}
    assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
    assert service["metadata"]["namespace"] == runtime["metadata"]["namespace"]


def test_no_example_is_reconciled(manifests: Path, tmp_path: Path) -> None:
    tree = checked_out(manifests, tmp_path / "tree")
    for folder in (tree, with_environments(tree)):
        documents = built(folder / "argocd")
        (generator,) = only(documents, "ApplicationSet")["spec"]["generators"]
        paths = [one["path"] for one in generator["git"]["directories"]]
        paths += [one["spec"]["source"]["path"] for one in documents if one["kind"] == "Application"]
        assert paths and not any(path.startswith(("examples", "*")) for path in paths)
