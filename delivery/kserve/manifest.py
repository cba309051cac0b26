"""What a model's manifest says: which version is live, which ones run beside it, and where their files are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from delivery.kserve.documents import Document, of_kind, to_bytes
from training.errors import InputError
from training.folder import check_name

PREFIX = "ostinato.dev/"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STABLE_URI = f"{PREFIX}stable-storage-uri"
"""Annotation: where the live version's files are while `spec.predictor` of a Knative service is the canary."""
LLM_KIND = "LLMInferenceService"
SERVICE_KINDS = ("InferenceService", LLM_KIND)
"""Of KServe's resources: a manifest has one of one kind that is named like the model."""


def manifest_path(name: str) -> str:
    """Where a model's manifest is in the repository. Raises InputError for a name that is not safe as a path."""
    return f"models/{check_name(name)}/inferenceservice.yaml"


def shadow_name(name: str) -> str:
    """Name of the InferenceService that answers a model's mirrored requests."""
    return f"{name}-shadow"


@dataclass(frozen=True)
class ServedVersion:
    """A model version as a manifest has it; digests are ``sha256:`` and hex."""

    version: str
    storage_uri: str
    digest: str
    data_fingerprint: str
    verdict_digest: str
    code_version: str
    spec_digest: str
    percent: int = 100
    """Of the requests that it answers; 0 for a shadow, whose answers nobody gets."""


@dataclass(frozen=True, kw_only=True)
class LiveModel(ServedVersion):
    """What one manifest says: the live version, and what runs beside it."""

    name: str
    registered_model: str
    previous_version: str
    """Version that was live before; "" when there was none."""
    runtime: str
    """Name of the ServingRuntime; of an LLMInferenceService, which has none, the one that its gate ran."""
    protocol: str
    """That callers speak: `v1`, `v2` or `openai`."""
    commit: str
    """The commit it was read from."""
    canary: ServedVersion | None = None
    shadow: ServedVersion | None = None

    @property
    def versions(self) -> tuple[ServedVersion, ...]:
        """Every version that gets requests, or copies of them; the live one first."""
        return (self, *(beside for beside in (self.canary, self.shadow) if beside is not None))

    @property
    def takes_over(self) -> bool:
        """Whether it is its own canary's version: that goes on answering until the live pods are ready."""
        return self.canary is not None and self.canary.version == self.version

    @property
    def answering(self) -> set[str]:
        """Numbers of the versions whose answers callers get."""
        return {self.version, self.canary.version} if self.canary else {self.version}


@dataclass(frozen=True)
class Manifest:
    """A manifest file, parsed once and rendered at most once. It is never changed: a change makes another one."""

    served: LiveModel
    documents: tuple[Document, ...]
    as_read: bytes | None = None
    """The file's bytes; None for one that is not written yet."""

    @cached_property
    def content(self) -> bytes:
        """The file's bytes: as they were read, else rendered. Equal documents give equal bytes."""
        return to_bytes(self.documents) if self.as_read is None else self.as_read


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


def service_of(documents: Iterable[Document], name: str) -> Document | None:
    """The service that is named like the model, of either kind; None without one."""
    services = (of_kind(documents, kind, name) for kind in SERVICE_KINDS)
    return next((service for service in services if service is not None), None)


def fact_annotations(facts: dict[str, str]) -> dict[str, str]:
    """Facts as annotations; what is empty is left out."""
    return {PREFIX + key: value for key, value in facts.items() if value}
