"""The manifest: one KServe InferenceService, rendered so that equal input gives equal bytes, and read back."""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

import yaml

from training.errors import InputError
from training.folder import check_name
from training.spec import ModelSpec, Resources

PREFIX = "ostinato.dev/"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
HEADER = (
    "# Rendered by Ostinato from spec.yaml and the registry. Change those; a hand edit is undone by the next release.\n"
)


def manifest_path(name: str) -> str:
    """Where a model's manifest is in the repository. Raises InputError for a name that is not safe as a path."""
    return f"models/{check_name(name)}/inferenceservice.yaml"


@dataclass(frozen=True)
class Evidence:
    """What a manifest says about its model version; digests are ``sha256:`` and hex."""

    digest: str
    data_fingerprint: str
    verdict_digest: str
    code_version: str
    spec_digest: str


@dataclass(frozen=True)
class LiveModel:
    """What one manifest says."""

    name: str
    version: str
    previous_version: str
    """Version that was live before; "" when there was none."""
    registered_model: str
    storage_uri: str
    digest: str
    data_fingerprint: str
    verdict_digest: str
    code_version: str
    spec_digest: str
    commit: str
    """The commit it was read from."""


def check_storage_uri(uri: str) -> str:
    """The URI itself, if what it names can't change and KServe can fetch it. Raises InputError with the fix."""
    if re.fullmatch(r"(file:///|s3://|gs://)[^\s@?#]+", uri) or re.fullmatch(r"oci://[^\s@]+@sha256:[0-9a-f]{64}", uri):
        return uri
    scheme = uri.split(":", 1)[0]
    fixes = {
        "models": "an alias or registry name moves; name the artifact store's own URI",
        "runs": "KServe can't resolve a run; name the artifact store's own URI",
        "mlflow-artifacts": "KServe can't fetch through MLflow's proxy; start the MLflow server with "
        "--no-serve-artifacts and an artifact root on s3:// or gs://",
        "oci": "a tag moves; name the image by digest, oci://host/name@sha256:…",
    }
    fix = fixes.get(scheme, "use file:///, s3://, gs:// or oci://…@sha256:…")
    raise InputError(f"storage URI {uri!r} can't be served: {fix}")


def canonical_quantity(text: str) -> str:
    """A quantity in Kubernetes' canonical form (apimachinery's resource.Quantity): 1.5 is 1500m, 1024Mi is 1Gi."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(n|u|m|k|Ki|[MGTPE]i?)?", text)
    assert match, text
    decimal, binary = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in binary[1:]:
        number *= 1024 ** binary.index(suffix)
        if number >= 1024:
            return _largest_suffix(int(number.to_integral_value(ROUND_CEILING)), 1024, binary)
        suffix = ""
    nano = number * Decimal(1000) ** decimal.index(suffix)
    return _largest_suffix(int(nano.to_integral_value(ROUND_CEILING)), 1000, decimal)


def _largest_suffix(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    """``number`` units of ``suffixes[0]`` with the largest suffix that leaves a whole number."""
    if number == 0:
        return "0"
    power = 0
    while number % base == 0 and power + 1 < len(suffixes):
        number //= base
        power += 1
    return f"{number}{suffixes[power]}"


def render(spec: ModelSpec, version: str, storage_uri: str, previous_version: str, evidence: Evidence) -> bytes:
    """The manifest of a model version as YAML bytes; equal arguments give equal bytes.

    ``previous_version`` is "" for a first release. Raises InputError for a storage URI that can move or can't be
    fetched by KServe.
    """
    facts = {
        "registered-model": spec.registered_name,
        "model-version": version,
        "previous-version": previous_version,
        "model-digest": evidence.digest,
        "data-fingerprint": evidence.data_fingerprint,
        "verdict-digest": evidence.verdict_digest,
        "code-version": evidence.code_version,
        "spec-digest": evidence.spec_digest,
    }
    serving = spec.serving
    annotations = {DEPLOYMENT_MODE: serving.deployment_mode}
    annotations |= {PREFIX + key: value for key, value in facts.items() if value}
    resources = _quantities(serving.resources)
    document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": spec.name, "namespace": serving.namespace, "annotations": annotations},
        "spec": {
            "predictor": {
                "minReplicas": serving.scaling.min_replicas,
                "maxReplicas": serving.scaling.max_replicas,
                "model": {
                    "modelFormat": {"name": serving.model_format},
                    "runtime": serving.runtime,
                    "protocolVersion": serving.protocol,
                    "storageUri": check_storage_uri(storage_uri),
                    "resources": {"requests": resources, "limits": dict(resources)},
                },
            }
        },
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)
    return (HEADER + text).encode()


def _quantities(resources: Resources) -> dict[str, str]:
    quantities = {"cpu": canonical_quantity(resources.cpu), "memory": canonical_quantity(resources.memory)}
    if resources.accelerator:
        quantities[resources.accelerator.type] = str(resources.accelerator.count)
    return quantities


def parse(content: bytes, name: str, commit: str) -> LiveModel:
    """What the manifest of the model ``name`` says; ``commit`` is where it was read.

    Raises InputError that names the field if it is broken or was edited by hand into something unusable.
    """
    where = f"{manifest_path(name)} at commit {commit[:12]} of the manifests repository"
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(where, f"it is not YAML: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "InferenceService":
        raise _broken(where, "it is no InferenceService")
    found = _text(document, where, "metadata", "name")
    if found != name:
        raise _broken(where, f"metadata.name is {found!r}, but the folder is {name!r}")

    def fact(key: str) -> str:
        return _text(document, where, "metadata", "annotations", PREFIX + key)

    storage_uri = _text(document, where, "spec", "predictor", "model", "storageUri")
    try:
        check_storage_uri(storage_uri)
    except InputError as error:
        raise _broken(where, str(error)) from error
    previous = document["metadata"]["annotations"].get(f"{PREFIX}previous-version", "")
    for key, version in {"model-version": fact("model-version"), "previous-version": previous or "1"}.items():
        if not (isinstance(version, str) and re.fullmatch(r"[1-9][0-9]*", version)):
            raise _broken(where, f"annotation {PREFIX}{key} is {version!r}, no version number in quotes")
    return LiveModel(
        name=name,
        version=fact("model-version"),
        previous_version=previous,
        registered_model=fact("registered-model"),
        storage_uri=storage_uri,
        digest=fact("model-digest"),
        data_fingerprint=fact("data-fingerprint"),
        verdict_digest=fact("verdict-digest"),
        code_version=document["metadata"]["annotations"].get(f"{PREFIX}code-version", ""),
        spec_digest=fact("spec-digest"),
        commit=commit,
    )


def _text(document: Any, where: str, *path: str) -> str:
    """The non-empty text at a path of nested mappings."""
    value = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise _broken(where, f"{'.'.join(path)} is {value!r}, it must be text")
    return value


def _broken(where: str, why: str) -> InputError:
    return InputError(f"{where} can't be used: {why}. Restore the rendered file with `ostinato rollback` or git revert")
