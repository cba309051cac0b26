"""Every shape of docs/how-to/serving.md is what the renderer gives, and is valid for the cluster that it is for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.contracts import crd_validator
from jsonschema import Draft202012Validator
from release.kubernetes_schemas import HTTP_ROUTE, SERVICE_ACCOUNT
from release.shapes import LLM, NAME, Shape, shapes, write_page

from delivery.kserve.documents import from_bytes, to_bytes
from delivery.kserve.parse import parse

SHAPES = shapes()
WRITTEN_HERE = {"ServiceAccount": Draft202012Validator(SERVICE_ACCOUNT), "HTTPRoute": Draft202012Validator(HTTP_ROUTE)}
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=[one.title.replace(" ", "-") for one in SHAPES])


def test_the_page_has_an_example_of_every_shape() -> None:
    tables = [one.kind for one in SHAPES if one.model == NAME]
    assert tables == ["whole", *["release"] * 7, "canary", "canary", "shadow"]
    assert [one.kind for one in SHAPES if one.model == LLM] == ["whole", *["release"] * 5]


def test_the_page_shows_what_is_rendered(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        write_page()
        shapes.cache_clear()
    for shape in shapes():
        assert shape.shown == shape.excerpt(), shape.title


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    llm = crd_validator("llminferenceservices", "v1alpha2")
    return {
        "InferenceService": crd_validator("inferenceservices", "v1beta1"),
        "LLMInferenceService": llm,
        **WRITTEN_HERE,
    }


@each_shape
def test_every_document_is_valid_with_unknown_fields_refused(
    shape: Shape, validators: dict[str, Draft202012Validator]
) -> None:
    for document in from_bytes(shape.rendered()):
        validator = validators[document["kind"]]
        assert [error.message for error in validator.iter_errors(document)] == []
        for place in _annotations(document):
            assert all(isinstance(value, str) for value in place.values())


@pytest.mark.parametrize("kind", sorted(WRITTEN_HERE))
def test_the_schemas_written_here_would_notice_an_unknown_field(kind: str) -> None:
    shadowed = next(one for one in SHAPES if one.kind == "shadow")
    document = next(one for one in from_bytes(shadowed.rendered()) if one["kind"] == kind)
    assert not list(WRITTEN_HERE[kind].iter_errors(document))
    document["metadata"]["nmae"] = "x"
    assert any("nmae" in error.message for error in WRITTEN_HERE[kind].iter_errors(document))


@each_shape
def test_a_file_that_is_read_and_written_again_keeps_its_bytes(shape: Shape) -> None:
    content = shape.rendered()
    assert shape.rendered() == content == to_bytes(from_bytes(content))


@each_shape
def test_whatever_runs_beside_it_the_file_says_what_is_live(shape: Shape) -> None:
    found = parse(shape.rendered(), shape.model, "c0ffee").served
    assert (found.version, found.storage_uri) == ("3", "s3://models/1/models/m-3/artifacts")
    trial = found.canary or found.shadow
    assert (trial is not None) == (shape.kind in ("canary", "shadow"))
    if trial:
        percent = 10 if shape.kind == "canary" else 0
        assert (trial.version, trial.storage_uri, trial.percent) == ("4", "s3://models/1/models/m-4/artifacts", percent)


@each_shape
def test_a_real_api_server_takes_every_shape(shape: Shape, tmp_path: Path) -> None:
    kubectl = _kubectl()
    kinds = subprocess.run([*kubectl, "api-resources", "-o", "name"], capture_output=True, text=True).stdout.split()
    groups = {"HTTPRoute": "gateway.networking.k8s.io", "ServiceAccount": ""}
    for kind in {one["kind"] for one in from_bytes(shape.rendered())}:
        group = groups.get(kind, "serving.kserve.io")
        if f"{kind.lower()}s.{group}".rstrip(".") not in kinds:
            pytest.skip(f"the API server does not know {kind}")
    file = tmp_path / "manifest.yaml"
    file.write_bytes(shape.rendered(namespace="default"))  # a dry run needs a namespace that exists
    apply = [*kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(file)]
    done = subprocess.run(apply, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _kubectl() -> list[str]:
    """The command; skips the test unless KUBECONFIG names a server that answers."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set, so there is no API server to ask")
    found = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("kubectl is not installed")
    command = [found, "--request-timeout=10s"]
    version = subprocess.run([*command, "version", "-o", "json"], capture_output=True, text=True)
    if version.returncode or "serverVersion" not in json.loads(version.stdout or "{}"):
        pytest.skip(f"the API server of KUBECONFIG does not answer: {version.stderr.strip()[:200]}")
    return command


def _annotations(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for one in node for found in _annotations(one)]
    if not isinstance(node, dict):
        return []
    inner = [found for key, one in node.items() if key != "annotations" for found in _annotations(one)]
    return [*([node["annotations"]] if "annotations" in node else []), *inner]
