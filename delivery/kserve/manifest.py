"""What a model's manifest says: which version is live, which one is tried beside it, and where their files are."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from delivery.kserve.documents import Document, from_bytes, of_kind
from training.errors import InputError
from training.folder import check_name
from training.spec.serving_language import VLLMSERVER

PREFIX = "ostinato.dev/"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STABLE_URI = f"{PREFIX}stable-storage-uri"
"""Annotation: where the live version's files are while `spec.predictor` of a Knative service is the canary."""
LLM_KIND = "LLMInferenceService"
SERVICE_KINDS = ("InferenceService", LLM_KIND)
"""Of KServe's resources: a manifest has one of one kind that is named like the model."""
_ANNOTATIONS = ("metadata", "annotations")
_MODEL = ("spec", "predictor", "model")
_MODEL_URI = (*_MODEL, "storageUri")
_LLM_URI = ("spec", "model", "uri")


def manifest_path(name: str) -> str:
    """Where a model's manifest is in the repository. Raises InputError for a name that is not safe as a path."""
    return f"models/{check_name(name)}/inferenceservice.yaml"


def shadow_name(name: str) -> str:
    """Name of the InferenceService that answers a model's mirrored requests."""
    return f"{name}-shadow"


@dataclass(frozen=True)
class Evidence:
    """What a manifest says about its model version; digests are ``sha256:`` and hex."""

    digest: str
    data_fingerprint: str
    verdict_digest: str
    code_version: str
    spec_digest: str


@dataclass(frozen=True)
class Trial:
    """A version that runs beside the live one."""

    version: str
    storage_uri: str
    digest: str
    percent: int
    """Of the requests that it answers; 0 for a shadow, whose answers nobody gets."""
    data_fingerprint: str
    verdict_digest: str


@dataclass(frozen=True)
class LiveModel:
    """What one manifest says."""

    name: str
    version: str
    previous_version: str
    """Version that was live before; "" when there was none."""
    registered_model: str
    storage_uri: str
    runtime: str
    """Name of the ServingRuntime; of an LLMInferenceService, which has none, the one that its gate ran."""
    protocol: str
    """That callers speak: `v1`, `v2` or `openai`."""
    digest: str
    data_fingerprint: str
    verdict_digest: str
    code_version: str
    spec_digest: str
    commit: str
    """The commit it was read from."""
    canary: Trial | None = None
    shadow: Trial | None = None


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


def service_of(documents: list[Document], name: str) -> Document | None:
    """The service that is named like the model, of either kind; None without one."""
    found = (of_kind(documents, kind, name) for kind in SERVICE_KINDS)
    return next((one for one in found if one is not None), None)


def fact_annotations(facts: dict[str, str]) -> dict[str, str]:
    """Facts as annotations; what is empty is left out."""
    return {PREFIX + key: value for key, value in facts.items() if value}


def parse(content: bytes, name: str, commit: str) -> LiveModel:
    """What the manifest of the model ``name`` says; ``commit`` is where it was read.

    Raises InputError that names the field if it is broken or was edited by hand into something unusable.
    """
    return _Reader(content, name, commit).live()


class _Reader:
    """One file, with errors that say where it is and how to get it back."""

    def __init__(self, content: bytes, name: str, commit: str) -> None:
        self.name, self.commit = name, commit
        self.where = f"{manifest_path(name)} at commit {commit[:12]} of the manifests repository"
        try:
            self.documents = from_bytes(content)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise self._broken(f"it is not YAML: {error}") from error
        self.service = self._service()

    def live(self) -> LiveModel:
        canary = self._canary()
        is_llm = self.service["kind"] == LLM_KIND
        uri_at = (*_ANNOTATIONS, STABLE_URI) if self._is_knative_canary() else _LLM_URI if is_llm else _MODEL_URI
        previous = _at(self.service, *_ANNOTATIONS, f"{PREFIX}previous-version") or ""
        self._check_number(f"{PREFIX}previous-version", previous or "1")
        return LiveModel(
            name=self.name,
            version=self._version("model-version"),
            previous_version=previous,
            registered_model=self._fact("registered-model"),
            storage_uri=self._uri(self.service, *uri_at),
            runtime=VLLMSERVER if is_llm else self._text(self.service, *_MODEL, "runtime"),
            protocol=_at(self.service, *_ANNOTATIONS, f"{PREFIX}protocol")
            or self._text(self.service, *_MODEL, "protocolVersion"),
            digest=self._fact("model-digest"),
            data_fingerprint=self._fact("data-fingerprint"),
            verdict_digest=self._fact("verdict-digest"),
            code_version=_at(self.service, *_ANNOTATIONS, f"{PREFIX}code-version") or "",
            spec_digest=self._fact("spec-digest"),
            commit=self.commit,
            canary=canary,
            shadow=self._shadow(),
        )

    def _service(self) -> Document:
        """The service that is named like the model."""
        found = service_of(self.documents, self.name)
        if found is not None:
            return found
        others = [one for one in self.documents if one.get("kind") in SERVICE_KINDS]
        if not others:
            raise self._broken("it holds no InferenceService")
        other = self._text(others[0], "metadata", "name")
        raise self._broken(f"metadata.name is {other!r}, but the folder is {self.name!r}")

    def _is_knative_canary(self) -> bool:
        return bool(_at(self.service, "spec", "predictor", "canaryTrafficPercent"))

    def _canary(self) -> Trial | None:
        """The canary, in the form of either deployment mode."""
        if self._is_knative_canary():
            predictor = self.service["spec"]["predictor"]
            return self._trial(predictor, predictor["canaryTrafficPercent"])
        listed = _at(self.service, "spec", "canary")
        if not listed:
            return None
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(_at(listed[0], "predictor"), dict):
            raise self._broken("spec.canary must hold one canary, with its predictor")
        return self._trial(listed[0]["predictor"], listed[0].get("trafficPercent"))

    def _trial(self, predictor: Document, percent: Any) -> Trial:
        if type(percent) is not int or not 1 <= percent <= 99:
            raise self._broken(f"the canary's percent is {percent!r}, no whole number from 1 to 99")
        at = ("annotations",)
        return Trial(
            version=self._version("canary-version", predictor, at),
            storage_uri=self._uri(predictor, "model", "storageUri"),
            digest=self._fact("canary-digest", predictor, at),
            percent=percent,
            data_fingerprint=self._fact("canary-data-fingerprint", predictor, at),
            verdict_digest=self._fact("canary-verdict-digest", predictor, at),
        )

    def _shadow(self) -> Trial | None:
        found = of_kind(self.documents, "InferenceService", shadow_name(self.name))
        if found is None:
            return None
        return Trial(
            version=self._version("model-version", found),
            storage_uri=self._uri(found, *_MODEL_URI),
            digest=self._fact("model-digest", found),
            percent=0,
            data_fingerprint=self._fact("data-fingerprint", found),
            verdict_digest=self._fact("verdict-digest", found),
        )

    def _version(self, key: str, document: Document | None = None, at: tuple[str, ...] = ()) -> str:
        return self._check_number(PREFIX + key, self._fact(key, document, at))

    def _check_number(self, key: str, version: Any) -> str:
        if not (isinstance(version, str) and re.fullmatch(r"[1-9][0-9]*", version)):
            raise self._broken(f"annotation {key} is {version!r}, no version number in quotes")
        return version

    def _fact(self, key: str, document: Document | None = None, at: tuple[str, ...] = ()) -> str:
        return self._text(document or self.service, *(at or _ANNOTATIONS), PREFIX + key)

    def _uri(self, document: Document, *path: str) -> str:
        uri = self._text(document, *path)
        try:
            return check_storage_uri(uri)
        except InputError as error:
            raise self._broken(str(error)) from error

    def _text(self, document: Any, *path: str) -> str:
        """The non-empty text at a path of nested mappings."""
        value = _at(document, *path)
        if not isinstance(value, str) or not value:
            raise self._broken(f"{'.'.join(path)} is {value!r}, it must be text")
        return value

    def _broken(self, why: str) -> InputError:
        return InputError(
            f"{self.where} can't be used: {why}. Restore the rendered file with `ostinato rollback` or git revert"
        )


def _at(document: Any, *path: str) -> Any:
    """The value at a path of nested mappings, None where there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
