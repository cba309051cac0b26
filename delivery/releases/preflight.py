"""What a release needs, tried before anything is computed: the registry, its storage, git, its forge, the key."""

from collections.abc import Callable, Iterator

from delivery.addresses import without_credentials
from delivery.connections import Connections
from delivery.forges.choose import connected_forge
from delivery.git.repository import LIVE_BRANCH, open_repository
from delivery.git.run import redact
from delivery.git.signing import signing
from delivery.registry.lookup import registry
from delivery.stores.fetch import PROXIED
from delivery.stores.storage_uri import check_destination, map_proxied
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

Attempt = Callable[[], str]
"""Tries one connection and says what was tried. Raises InputError or OstinatoError."""


def preflight(spec: ModelSpec, connections: Connections, mode: str, until: str) -> list[str]:
    """What was tried, a sentence each; nothing is written anywhere.

    mode: of the release, as `release.mode`. until: the last step of the run, which decides what is needed. All attempts
    are made, and what failed is raised together: InputError if all of it is wrong configuration, else OstinatoError.
    """
    sentences: list[str] = []
    errors: list[OstinatoError] = []
    for attempt in _attempts(spec, connections, mode, until):
        try:
            sentences.append(attempt())
        except OstinatoError as error:
            errors.append(error)
    if errors:
        kind = InputError if all(isinstance(error, InputError) for error in errors) else OstinatoError
        raise kind("\n".join(map(str, errors)))
    return sentences


def _attempts(spec: ModelSpec, connections: Connections, mode: str, until: str) -> Iterator[Attempt]:
    releases = until == "deploy"
    yield lambda: _read_registry(spec, connections)
    if releases:
        yield lambda: _map_storage(spec, connections)
    yield lambda: _reach_repository(connections.manifests_remote, writes=releases)
    if releases and mode == "pull-request":
        yield lambda: _read_proposals(connections)


def _read_registry(spec: ModelSpec, connections: Connections) -> str:
    aliases = registry(connections.tracking_uri).aliases(spec.registered_name)
    where = without_credentials(connections.tracking_uri)
    known = ", ".join(f"{alias} is version {version}" for alias, version in sorted(aliases.items())) or "no version yet"
    return f"registry {where} answers: {spec.registered_name} has {known}"


def _map_storage(spec: ModelSpec, connections: Connections) -> str:
    if spec.serving.oci_repository:
        return f"the model will be served from {spec.serving.oci_repository}"
    root = registry(connections.tracking_uri).artifact_root()
    if root.startswith(PROXIED):
        root = map_proxied(root, check_destination(connections.artifacts_destination), connections.tracking_uri)
    return f"the model will be served from the registry's storage: {without_credentials(root)}"


def _reach_repository(remote: str, *, writes: bool) -> str:
    with open_repository(remote) as repository:
        commit = repository.snapshot().commit
        if not writes:
            return f"manifests repository {redact(remote)} can be read: {LIVE_BRANCH} is at {commit[:12]}"
        signed = " and signed commits can be made" if signing() else ""
        repository.try_push(commit)
        return f"manifests repository {redact(remote)} takes pushes{signed}: {LIVE_BRANCH} is at {commit[:12]}"


def _read_proposals(connections: Connections) -> str:
    forge = connected_forge(connections)
    if forge is None:
        return "no forge: the release branch alone is pushed"
    return f"the forge answers: {len(forge.proposals('open'))} open pull requests"
