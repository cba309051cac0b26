"""Published CRDs as strict JSON Schemas: what an API server would refuse, unknown fields included."""

import functools
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

CONTRACTS = Path(os.environ.get("OSTINATO_CONTRACTS", Path(__file__).parents[3] / "shared" / "contracts"))


def crd_validator(name: str, version: str) -> Draft202012Validator:
    """The validator of a CRD by its file's name without ``.yaml``, such as ``argoproj.io_application``.

    A name without a group is KServe's: ``inferenceservices``. Skips the test where the folder of CRDs is absent.
    """
    path = CONTRACTS / f"{name if '_' in name else f'serving.kserve.io_{name}'}.yaml"
    if not path.is_file():
        pytest.skip(f"the CRD is not at {path}; set OSTINATO_CONTRACTS to the folder that has the CRDs")
    return _validator(path, version)


def kind_validator(document: dict[str, Any]) -> Draft202012Validator | None:
    """The validator of a document by its apiVersion and kind, None if that kind has no CRD among the contracts.

    Skips the test where the folder of CRDs is absent.
    """
    if not CONTRACTS.is_dir():
        pytest.skip(f"the CRDs are not at {CONTRACTS}; set OSTINATO_CONTRACTS to the folder that has them")
    group, _, version = document["apiVersion"].rpartition("/")
    stem = CONTRACTS / f"{group}_{document['kind'].lower()}"
    found = [
        path for path in (stem.with_name(f"{stem.name}.yaml"), stem.with_name(f"{stem.name}s.yaml")) if path.is_file()
    ]
    return _validator(found[0], version) if found else None


@functools.cache
def _validator(path: Path, version: str) -> Draft202012Validator:
    definition = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (found,) = (one for one in definition["spec"]["versions"] if one["name"] == version)
    schema = strict(found["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(schema)


def strict(node: Any) -> Any:
    """A CRD's OpenAPI v3 schema as JSON Schema in which unknown fields are errors."""
    if isinstance(node, list):
        return [strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: strict(value) for key, value in node.items() if not key.startswith("x-kubernetes-")}
    if node.get("x-kubernetes-int-or-string"):
        found |= {"type": ["integer", "string"]}
        found.pop("anyOf", None)
    closed = not node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(node.get("properties"), dict) and closed and "additionalProperties" not in node:
        found["additionalProperties"] = False
    return found
