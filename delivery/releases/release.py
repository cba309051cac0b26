"""Releases: what is live, what is proposed, and the commits that change it. Git is the only source of truth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from delivery.connections import Connections
from delivery.git.change import Change, commit_change
from delivery.git.history import MODEL, VERSION, release_commits
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Snapshot
from delivery.kserve.canary import end_takeover, start_takeover, with_canary
from delivery.kserve.changes import with_release
from delivery.kserve.manifest import LiveModel, Manifest, ServedVersion, manifest_path
from delivery.kserve.parse import parse
from delivery.registry.lookup import registry
from delivery.registry.versions import (
    CANDIDATE,
    FINGERPRINT_TAG,
    REJECTED_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    VERDICT_TAG,
    ModelVersion,
)
from delivery.releases.environments import first_release_files
from delivery.releases.live import live
from delivery.releases.manifest_commit import ManifestCommit
from delivery.releases.places import runs_in_staging
from delivery.stores.storage_uri import manifest_uri
from delivery.trust.keys import configured_verifier
from delivery.trust.policy import POLICY_FILE
from training.errors import GateRefused, InputError, OstinatoError
from training.spec import ModelSpec


@dataclass(frozen=True)
class Release(ManifestCommit):
    """What a release command came to."""

    canary_percent: int = 0
    """Of the requests that the version gets while it is a canary; 0 for a version that gets them all."""


@dataclass(frozen=True)
class ReleaseRequest:
    """A version that is to be released, and how."""

    version: ModelVersion
    storage_uri: str
    percent: int | None = None
    """Of the requests for a canary, 0 for all of them, None for what the spec says."""
    judged_against: str | None = None
    """The champion's version in the verdict, "" for none; unless given it is not compared with what is live."""
    takeover: Literal["start", "end"] | None = None
    """Of the live version's place by the running canary: it becomes live beside its canary, which then goes. Nothing
    changes where that is so already."""


def release(
    spec: ModelSpec,
    connections: Connections,
    version: str,
    mode: ReleaseMode,
    trailers: Mapping[str, str] = MappingProxyType({}),
    judged_against: str | None = None,
    percent: int | None = None,
) -> Release:
    """Put a registered version into the manifests repository: commit it (direct) or push its release branch.

    Everything in the manifest comes from the registry and the spec, so a second call changes nothing.
    judged_against: see :class:`ReleaseRequest`. percent: of the requests that it gets as a canary, 0 for all; unless
    given, the spec's `serving.canary`. A first release gets all requests. Raises GateRefused if the version has no
    passing verdict, or people rejected it and this is a run; InputError if it does not exist or can't be served;
    OstinatoError if another version is live than it was judged against, or its files are not where the manifest would
    say.
    """
    registered, storage_uri = releasable(spec, connections, version)
    if judged_against is not None:
        check_not_rejected(registered, spec.name)
    request = ReleaseRequest(registered, storage_uri, percent, judged_against)
    return propose_or_commit(spec, connections, request, mode, trailers)


def chosen_version(spec: ModelSpec, connections: Connections, version: str | None) -> str:
    """The version itself, else the registry's candidate. Raises InputError without one."""
    chosen = version or registry(connections.tracking_uri).aliases(spec.registered_name).get(CANDIDATE)
    if chosen is None:
        raise InputError(
            f"{spec.registered_name} has no candidate in the registry; `ostinato run {spec.name}` makes one, "
            "or name a version with --version"
        )
    return chosen


def releasable(spec: ModelSpec, connections: Connections, version: str) -> tuple[ModelVersion, str]:
    """A version that may be served, and the storage URI that its manifest names.

    Raises as :func:`release` does, and GateRefused where a verification key is configured and the version is not what
    was signed.
    """
    reader = registry(connections.tracking_uri)
    registered = reader.version(spec.registered_name, version)
    if registered is None:
        known = ", ".join(other.version for other in reader.versions(spec.registered_name)) or "none"
        raise InputError(f"{spec.registered_name} has no version {version} in the registry; it has {known}")
    _check_verdict(registered)
    first = reader.versions(spec.registered_name, digest=registered.digest)[0]
    if first.version != version:
        raise InputError(
            f"version {version} of {registered.name} is a copy of version {first.version}; release that one"
        )
    now = partial(live, connections.manifests_remote, spec.name)
    uri = manifest_uri(spec, connections, registered, now)
    _check_signed(connections.tracking_uri, registered, uri, now)
    return registered, uri


def _check_signed(tracking_uri: str, registered: ModelVersion, uri: str, now: Callable[[], LiveModel | None]) -> None:
    """Where it is configured whose signature a release needs; what was committed once is not looked at again."""
    verifier = configured_verifier()
    if verifier is None:
        return
    running = now()
    if running is None or (running.storage_uri, running.digest) != (uri, registered.digest):
        from delivery.trust.release_check import check_release

        check_release(tracking_uri, registered, uri, verifier)


def propose_or_commit(
    spec: ModelSpec, connections: Connections, request: ReleaseRequest, mode: ReleaseMode, trailers: Mapping[str, str]
) -> Release:
    """Render the version's manifest on what is live now, and commit it there or push its release branch."""
    path = manifest_path(spec.name)
    version = request.version.version
    target = LIVE_BRANCH if mode == "direct" else f"release/{spec.name}/v{version}"
    rendered: list[LiveModel] = []

    def render(snapshot: Snapshot) -> Change | None:
        files = snapshot.read(path, POLICY_FILE)
        now = parse(files[path], spec.name, snapshot.commit) if path in files else None
        running = now.served if now else None
        _check_live_version(running, request, spec.name)
        _check_order(snapshot, running, request, spec.name)
        manifest = _changed(spec, request, now, lambda: not runs_in_staging(snapshot, spec.name))
        rendered[:] = [manifest.served]
        if now is not None and manifest.content == now.content:
            return None

        def check() -> None:
            rules, waits = files.get(POLICY_FILE), mode != "direct"
            if rules is not None and not (running and version in running.answering):
                from delivery.trust.enforce import enforce

                enforce(snapshot, rules, spec.name, request.version, connections.tracking_uri, trailers, waits)

        message = _message(subject(running, manifest.served, version), spec.name, request.version, trailers)
        first = first_release_files(snapshot, spec.name, spec.serving.namespace)
        return Change(path, {path: manifest.content, **first}, message, target, check)

    committed = commit_change(connections.manifests_remote, render, "" if mode == "direct" else f"{target}*")
    percent = _percent_of(rendered[0], version)
    ignored = request.percent is None and spec.serving.canary and not rendered[0].previous_version
    note = "a first release gets all requests: there is nothing to be a canary beside" if ignored else ""
    if rendered[0].takes_over:
        note = second_step(spec.name, version)
    return Release(spec.name, version, *committed, note, canary_percent=percent)


def second_step(name: str, version: str, when: str = "") -> str:
    """What a person does after the first step of a canary's end; when: what comes before, with "and"."""
    return (
        f"the canary goes on answering until it is taken away. Once {when}version {version} has rolled out "
        f"(`ostinato status {name} --cluster` says Healthy), type: ostinato canary {name} --finish"
    )


def _percent_of(live_model: LiveModel, version: str) -> int:
    canary = live_model.canary
    return canary.percent if canary and canary.version == version and not live_model.takes_over else 0


def _check_live_version(running: LiveModel | None, request: ReleaseRequest, name: str) -> None:
    """Raises OstinatoError if another version is live than this one was judged against, or it is the canary no more.

    It may be live itself.
    """
    version, live_version = request.version.version, running.version if running else ""
    if request.judged_against is not None and live_version not in (request.judged_against, version):
        raise OstinatoError(
            f"version {version} of {name} was judged against {_named(request.judged_against)}, but "
            f"{_named(live_version)} is live now: another release came between, so nothing was committed. "
            f"Run `ostinato run {name}` again"
        )
    canary = running.canary.version if running and running.canary else ""
    taken_over = version == live_version and canary in ("", version)
    if request.takeover and not (taken_over or (request.takeover == "start" and version == canary)):
        was = "the canary" if request.takeover == "start" else "live"
        raise OstinatoError(
            f"version {version} of {name} is {was} no more: another commit came between, so nothing was committed; "
            f"see `ostinato status {name}`"
        )


def _check_order(snapshot: Snapshot, running: LiveModel | None, request: ReleaseRequest, name: str) -> None:
    """Raises GateRefused if a run would bring back a version that was live, or a canary, and was taken away since.

    A run that was late, or one on the same data and code after a rollback, ends with that very version. Only a person
    brings it back, by name.
    """
    version = request.version.version
    if request.judged_against is None or (running and version in running.answering):
        return
    snapshot.repository.fetch_commits()
    earlier = release_commits(snapshot, name).get(version)
    if earlier:
        raise GateRefused(
            f"version {version} of {name} was released by commit {earlier[:12]} and taken back since; a run does not "
            f"bring it back. If it is to go live again: ostinato promote {name} --version {version}"
        )


def _named(version: str) -> str:
    return f"version {version}" if version else "no champion"


def _changed(
    spec: ModelSpec, request: ReleaseRequest, now: Manifest | None, keeps_capacity: Callable[[], bool]
) -> Manifest:
    """The manifest with the version on what is live now: as the live one, or as a canary beside it.

    A running canary that is released takes over. keeps_capacity: whether it then has its canary's pods besides.
    """
    served = served_version(request.version, request.storage_uri)
    if request.takeover and now is not None:
        if now.served.takes_over:
            return end_takeover(now) if request.takeover == "end" else now
        return start_takeover(spec, now, served, keeps_capacity()) if now.served.canary else now
    if now is None or now.served.version == served.version:
        return with_release(spec, now, served)
    canary, percent = now.served.canary, request.percent
    if percent is None:
        percent = spec.serving.canary.percent if spec.serving.canary else 0
        if percent and canary and canary.version == served.version:
            percent = canary.percent  # it may have been widened since; running a pipeline again narrows nothing
    if percent:
        return with_canary(spec, now, served, percent)
    if canary and canary.version == served.version:
        return start_takeover(spec, now, served, keeps_capacity())
    return with_release(spec, now, served)


def served_version(version: ModelVersion, storage_uri: str) -> ServedVersion:
    """A version as its manifest has it, by what the registry says of it."""
    return ServedVersion(version.version, storage_uri, version.digest, **version.facts, percent=100)


def _check_verdict(version: ModelVersion) -> None:
    needed = (FINGERPRINT_TAG, VERDICT_DIGEST_TAG, SPEC_TAG)
    decision = version.tags.get(VERDICT_TAG)
    if not version.digest or decision is None or not all(version.tags.get(tag) for tag in needed):
        raise GateRefused(
            f"version {version.version} of {version.name} has no verdict in the registry, so it may not be released; "
            "versions that `ostinato run` registers have one"
        )
    if decision != "pass":
        raise GateRefused(
            f"the verdict on version {version.version} of {version.name} is {decision!r}; only a pass goes live"
        )


def check_not_rejected(version: ModelVersion, model: str) -> None:
    """Raises GateRefused if a proposal of the version was closed without a merge; a person may overrule that."""
    if why := version.tags.get(REJECTED_TAG):
        raise GateRefused(
            f"version {version.version} of {model} was rejected: {why}. A run does not bring it back; a person does "
            f"with: ostinato promote {model} --version {version.version}"
        )


def subject(before: LiveModel | None, after: LiveModel, version: str) -> str:
    """One line: what a change of the manifest does for the version that it is about."""
    name = f"{after.name} v{version}"
    if percent := _percent_of(after, version):
        return f"Canary of {name} with {percent} %"
    if after.takes_over:
        return f"Release {name} beside its canary"
    if before and before.takes_over and before.version == version:
        return f"End the canary of {name}, which is live"
    return f"Release {name}" if before else f"First release of {name}"


def _message(subject: str, name: str, version: ModelVersion, trailers: Mapping[str, str]) -> str:
    lines = {MODEL: name, VERSION: version.version, **trailers, "Ostinato-Verdict": version.tags[VERDICT_DIGEST_TAG]}
    return f"{subject}\n\n" + "".join(f"{key}: {value}\n" for key, value in lines.items() if value)


def check_mode(text: str) -> ReleaseMode:
    """The mode itself. Raises InputError for an unknown one."""
    if text == "direct" or text == "pull-request":
        return text
    raise InputError(f"release is {text!r}; give direct or pull-request")
