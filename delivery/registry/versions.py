from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from delivery.addresses import without_credentials
from training.errors import InputError, OstinatoError

DIGEST_TAG = "ostinato.model_digest"
FINGERPRINT_TAG = "ostinato.data_fingerprint"
VERDICT_TAG = "ostinato.verdict"
VERDICT_DIGEST_TAG = "ostinato.verdict_digest"
CODE_TAG = "ostinato.code_version"
RUN_TAG = "ostinato.run"
SPEC_TAG = "ostinato.spec_digest"
PROMPTS_TAG = "ostinato.prompts"
"""Of a language model's version: JSON with the version of each of its prompts."""
PROMPT_DIGEST_TAG = "ostinato.prompt_digest"
REJECTED_TAG = "ostinato.rejected"
"""Of a version whose proposal was closed without a merge: its address, who closed it, and the last comment."""
OVERRULED_TAG = "ostinato.overruled"
"""Address of a closed proposal that is no rejection: a person overruled it, or it gave way to another version."""
MODEL_TAG = "ostinato.model"
"""Of a prompt's version: the model that it belongs to."""
IS_PROMPT_TAG = "mlflow.prompt.is_prompt"
"""MLflow's own mark of what is a prompt."""
FACTS = ("data_fingerprint", "verdict_digest", "code_version", "spec_digest")
"""What a version was made from, as its manifest and its statement name it. Its tags have ``ostinato.`` before these."""
DEFAULT_EXPERIMENT = "0"
"""MLflow's id of the experiment that every store has from the beginning."""
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    name: str
    version: str
    source: str
    """What the registry calls its artifacts, such as ``models:/m-…``; :meth:`Registry.storage_uri` resolves it."""
    run_id: str
    tags: dict[str, str] = field(default_factory=dict)
    created_ms: int = 0
    """When it was registered, in milliseconds since 1970."""

    @property
    def digest(self) -> str:
        """Model digest, "" if it was not registered by Ostinato."""
        return self.tags.get(DIGEST_TAG, "")

    @property
    def facts(self) -> dict[str, str]:
        return facts_of(self.tags)


def facts_of(tags: Mapping[str, str]) -> dict[str, str]:
    """FACTS by name, "" for what is not known."""
    return {name: tags.get(f"ostinato.{name}", "") for name in FACTS}


class Registry(Protocol):
    """What is read from a registry. Every method raises OstinatoError if it can't be reached."""

    tracking_uri: str

    def aliases(self, name: str) -> dict[str, str]:
        """Version by alias; empty for an unknown model."""
        ...

    def version(self, name: str, version: str) -> ModelVersion | None: ...

    def versions(self, name: str, digest: str = "") -> list[ModelVersion]:
        """All versions, oldest first, or those with the model digest; empty for an unknown model."""
        ...

    def prompts(self, name: str) -> list[ModelVersion]:
        """All versions of a prompt, oldest first; empty for an unknown one."""
        ...

    def storage_uri(self, name: str, version: str) -> str:
        """Where the artifacts of an existing version are."""
        ...

    def artifact_root(self) -> str:
        """Where the registry keeps files unless it is told otherwise: of its default experiment, "" without one."""
        ...


def known_version(reader: Registry, name: str, version: str, without: str = "") -> ModelVersion:
    """The version that somebody names. Raises InputError with those there are; without: said besides if there are
    none."""
    registered = reader.version(name, version)
    if registered is None:
        known = ", ".join(other.version for other in reader.versions(name)) or f"none{without}"
        raise InputError(f"--version {version}: {name} has versions {known}")
    return registered


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database file of a ``sqlite:///`` tracking URI, None for other URIs. Raises InputError without a path."""
    if not urlsplit(tracking_uri).scheme.startswith("sqlite"):
        return None
    path = tracking_uri.partition(":///")[2].partition("?")[0]
    if not path:
        raise InputError(f"tracking URI {tracking_uri!r} names no file; write sqlite:///<absolute path>")
    return Path(path).absolute()


def prompt_condition(name: str) -> str:
    """MLflow's filter text for the versions of a prompt."""
    return f"{search_condition(name, '')} AND tags.`{IS_PROMPT_TAG}` = 'true'"


def search_condition(name: str, digest: str) -> str:
    """MLflow's filter text for the versions of a model, with the model digest unless it is ""."""
    if "'" in name:
        raise InputError(f"registered model name {name!r} has a quote in it; change `registry` in spec.yaml")
    return f"name = '{name}'" + (f" AND tags.`{DIGEST_TAG}` = '{digest}'" if digest else "")


def registry_down(tracking_uri: str, why: object) -> OstinatoError:
    """The error for a registry that can't be used now."""
    fix = "Check that it is up, the tracking URI, and MLFLOW_TRACKING_USERNAME and _PASSWORD or MLFLOW_TRACKING_TOKEN"
    if tracking_uri.startswith("sqlite"):
        fix = "Check that the file is MLflow's, the permissions and the free space of its folder"
    return OstinatoError(f"model registry {without_credentials(tracking_uri)} can't be used: {why}. {fix}")
