"""What a manifest serves, held against the registry: the version, its digests, its verdict, and where its files are."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.connections import Connections
from delivery.kserve.documents import from_bytes
from delivery.kserve.manifest import LiveModel
from delivery.registry.lookup import registry
from delivery.registry.versions import CODE_TAG, FINGERPRINT_TAG, SPEC_TAG, VERDICT_DIGEST_TAG, ModelVersion, Registry
from delivery.stores.fetch import OCI, PROXIED
from delivery.stores.storage_uri import map_proxied
from delivery.trust.keys import VERIFY_KEY, Identity, PublicKey, configured_verifier
from delivery.trust.policy import Policy, Rules
from delivery.trust.release_check import (
    RunFiles,
    fetch_problems,
    signature_problems,
    statement_problems,
    verdict_problems,
)
from delivery.trust.signing import SIGNATURE_FILE
from delivery.trust.statement import STATEMENT_FILE
from training.errors import InputError

URIS = ("storageUri", "uri")
"""Keys that KServe fetches a model from."""
FOREIGN = ("storage", "storageUris", "initContainers", "image", "command", "transformer", "explainer", "baseRefs")
"""Keys with which something else than the model would be fetched or run; no release writes them."""


def check_verifier(policy: Policy) -> None:
    """Raises InputError if the policy asks for signatures, and nothing says whose."""
    asked = [policy, *(policy.of(name) for name in policy.models)]
    if configured_verifier() is None and any(rules.require_signature for rules in asked):
        raise InputError(f"the policy has require_signature, but nothing says whose; set {VERIFY_KEY}")


@dataclass(frozen=True)
class Served:
    """One version that a manifest serves, with what the manifest says of it."""

    registered_model: str
    version: str
    storage_uri: str
    digest: str
    facts: dict[str, str]
    """By the registry's tag."""


def served_versions(live: LiveModel) -> list[Served]:
    """The live version, then those that are tried beside it."""
    facts = {
        FINGERPRINT_TAG: live.data_fingerprint,
        VERDICT_DIGEST_TAG: live.verdict_digest,
        CODE_TAG: live.code_version,
        SPEC_TAG: live.spec_digest,
    }
    found = [Served(live.registered_model, live.version, live.storage_uri, live.digest, facts)]
    for trial in (live.canary, live.shadow):
        if trial is not None:
            told = {FINGERPRINT_TAG: trial.data_fingerprint, VERDICT_DIGEST_TAG: trial.verdict_digest}
            found.append(Served(live.registered_model, trial.version, trial.storage_uri, trial.digest, told))
    return found


def foreign_parts(content: bytes, live: LiveModel) -> list[str]:
    """What is in the file beside the versions that it names, and would be served or run as well."""
    known = {one.storage_uri for one in served_versions(live)}
    problems = []
    for key, value in (found for document in from_bytes(content) for found in _parts(document)):
        if key in FOREIGN:
            problems.append(f"it has {key}, which no release writes")
        elif key in URIS and value not in known:
            problems.append(f"it also serves {value}, which belongs to no version that it names")
    return problems


def _parts(part: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value, at any depth."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield str(key), value
            yield from _parts(value)
    elif isinstance(part, list):
        for one in part:
            yield from _parts(one)


def served_problems(served: Served, rules: Rules, connections: Connections) -> list[str]:
    """What keeps a version from being served as the manifest says."""
    called = f"version {served.version} of {served.registered_model}"
    reader, verifier = registry(connections.tracking_uri), configured_verifier()
    found = reader.version(served.registered_model, served.version)
    if found is None:
        return [f"the registry has no {called}"]
    told = {"model digest": (served.digest, found.digest)}
    told |= {tag.removeprefix("ostinato."): (said, found.tags.get(tag, "")) for tag, said in served.facts.items()}
    problems = [
        f"{called}: its {what} is {said or 'none'} in the manifest, and {known or 'none'} in the registry"
        for what, (said, known) in told.items()
        if said != known
    ]
    files = RunFiles(connections.tracking_uri, found)
    more = verdict_problems(found, files)
    is_image = served.storage_uri.startswith(OCI)
    expected = served.storage_uri if is_image else _storage_uri(reader, found, connections)
    if served.storage_uri != expected:
        more.append(f"its storage URI is {served.storage_uri} in the manifest, and {expected} in the registry")
    wants_signature = rules.require_signature or verifier is not None
    if (is_image or wants_signature) and not problems and not more:
        more += _bytes_problems(served, found, files, verifier)
    return problems + [f"{called}: {one}" for one in more]


def _storage_uri(reader: Registry, version: ModelVersion, connections: Connections) -> str:
    """What a manifest names for a version that is not an image."""
    stored = reader.storage_uri(version.name, version.version)
    if stored.startswith(PROXIED):
        return map_proxied(stored, connections.artifacts_destination, connections.tracking_uri)
    return stored


def _bytes_problems(
    served: Served, found: ModelVersion, files: RunFiles, verifier: PublicKey | Identity | None
) -> list[str]:
    """What is wrong with the files themselves, and with who signed them."""
    with tempfile.TemporaryDirectory(prefix="ostinato-trust-") as scratch:
        folder = Path(scratch)
        problems = fetch_problems(served.storage_uri, folder, found.digest, files.tracking_uri)
        if verifier is not None:
            problems += signature_problems(folder, files.get(SIGNATURE_FILE), verifier)
            problems += statement_problems(found, files.get(STATEMENT_FILE), verifier)
    return problems
