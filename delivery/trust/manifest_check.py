"""What a manifest serves, held against the registry: the version, its digests, its verdict, and where its files are."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from delivery.connections import Connections
from delivery.kserve.manifest import LiveModel, Manifest, ServedVersion
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import FACTS, ModelVersion, Registry
from delivery.stores.fetch import OCI, PROXIED
from delivery.stores.storage_uri import map_proxied
from delivery.trust.keys import VERIFY_KEY, configured_verifier
from delivery.trust.other_files import HOOK, HOOK_PROBLEM
from delivery.trust.policy import Policy, Rules
from delivery.trust.release_check import stored_problems, verdict_problems
from training.errors import InputError

URIS = ("storageUri", "uri")
"""Keys that KServe fetches a model from."""
FOREIGN = ("storage", "storageUris", "initContainers", "image", "command", "transformer", "explainer", "baseRefs")
"""Keys with which something else than the model would be fetched or run; no release writes them."""


def check_verifier(policy: Policy) -> None:
    """Raises InputError if the policy asks for signatures, and nothing says whose."""
    every = [policy, *(policy.of(name) for name in policy.models)]
    if configured_verifier() is None and any(rules.require_signature for rules in every):
        raise InputError(f"the policy has require_signature, but nothing says whose; set {VERIFY_KEY}")


def contents(live: LiveModel) -> list[object]:
    """What a manifest serves, to compare two of them by; not which share of the requests each version gets."""
    served = attrgetter("version", "storage_uri", "digest", *FACTS)
    return [live.registered_model, *map(served, live.versions)]


def foreign_parts(manifest: Manifest) -> list[str]:
    """What is in the file beside the versions that it names, and would be served or run as well."""
    known = {version.storage_uri for version in manifest.served.versions}
    problems = []
    for key, value in (part for document in manifest.documents for part in _parts(document)):
        if key in FOREIGN:
            problems.append(f"it has {key}, which no release writes")
        elif key in URIS and value not in known:
            problems.append(f"it also serves {value}, which belongs to no version that it names")
        elif HOOK.search(key):
            problems.append(f"it has {key}: {HOOK_PROBLEM}")
    return problems


def _parts(part: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value, at any depth."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield str(key), value
            yield from _parts(value)
    elif isinstance(part, list):
        for item in part:
            yield from _parts(item)


def served_problems(served: ServedVersion, name: str, rules: Rules, connections: Connections) -> list[str]:
    """What keeps a version of the registered model ``name`` from being served as the manifest says."""
    label = f"version {served.version} of {name}"
    reader, verifier = registry(connections.tracking_uri), configured_verifier()
    registered = reader.version(name, served.version)
    if registered is None:
        return [f"the registry has no {label}"]
    facts = {"model digest": (served.digest, registered.digest)}
    facts |= {name: (getattr(served, name), known) for name, known in registered.facts.items()}
    problems = [
        f"{label}: its {what} is {value or 'none'} in the manifest, and {known or 'none'} in the registry"
        for what, (value, known) in facts.items()
        if value != known
    ]
    files = RunFiles(mlflow_client(connections.tracking_uri), registered.run_id)
    others = verdict_problems(registered, files)
    is_image = served.storage_uri.startswith(OCI)
    expected = served.storage_uri if is_image else _storage_uri(reader, registered, connections)
    if served.storage_uri != expected:
        others.append(f"its storage URI is {served.storage_uri} in the manifest, and {expected} in the registry")
    needs_signature = rules.require_signature or verifier is not None
    if (is_image or needs_signature) and not problems and not others:
        others += stored_problems(registered, served.storage_uri, files, verifier)
    return problems + [f"{label}: {problem}" for problem in others]


def _storage_uri(reader: Registry, version: ModelVersion, connections: Connections) -> str:
    """What a manifest names for a version that is not an image."""
    stored = reader.storage_uri(version.name, version.version)
    if stored.startswith(PROXIED):
        return map_proxied(stored, connections.artifacts_destination, connections.tracking_uri)
    return stored
