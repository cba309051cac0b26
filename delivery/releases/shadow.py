"""A shadow: a version that gets a copy of every inference request, and whose answers nobody gets."""

from collections.abc import Callable

from delivery.connections import Connections
from delivery.git.repository import LIVE_BRANCH, open_repository, transact
from delivery.kserve.canary_and_shadow import with_shadow, without_shadow
from delivery.kserve.manifest import LiveModel, manifest_path, parse
from delivery.releases.release import Release, evidence_of, releasable
from training.errors import InputError
from training.spec.model import ModelSpec


def start_shadow(spec: ModelSpec, connections: Connections, version: str) -> Release:
    """Mirror the live model's requests to a version, in place of another shadow; committed on the live branch.

    Raises InputError where mirroring can't work, nothing is live, the version is live itself or a canary runs;
    GateRefused without a passing verdict.
    """
    found, storage_uri = releasable(spec, connections, version)

    def shadowed(now: bytes, running: LiveModel) -> bytes:
        if running.canary:
            raise InputError(
                f"{spec.name} has a canary, version {running.canary.version}, whose share a mirror would take away; "
                f"end it first with: ostinato canary {spec.name} --finish or --abort"
            )
        if running.version == version:
            raise InputError(f"version {version} of {spec.name} is live already; a shadow is another version")
        return with_shadow(spec, now, version, storage_uri, evidence_of(found))

    return _change(connections.manifests_remote, spec.name, version, f"Shadow of {spec.name} v{version}", shadowed)


def end_shadow(manifests_remote: str, name: str) -> Release:
    """Take the shadow and its route out. Nothing changes if there is none; raises InputError if nothing is live."""

    def plain(now: bytes, running: LiveModel) -> bytes:
        return without_shadow(now, name)

    return _change(manifests_remote, name, "", f"End the shadow of {name}", plain)


def _change(
    manifests_remote: str, name: str, version: str, subject: str, change: Callable[[bytes, LiveModel], bytes]
) -> Release:
    """Commit what ``change`` makes of the manifest that is live."""
    path = manifest_path(name)
    at = {"commit": "", "live": ""}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            snapshot = repository.snapshot()
            now = snapshot.read(path).get(path)
            if now is None:
                raise InputError(f"{name} is not live, so it has no requests to mirror; see `ostinato status`")
            running = parse(now, name, snapshot.commit)
            content = change(now, running)
            at.update(commit=snapshot.commit, live=running.version)
            if content == now:
                return None
            trailers = f"Ostinato-Model: {name}\nOstinato-Version: {running.version}\n"
            message = f"{subject}\n\n{trailers}" + (f"Ostinato-Shadow: {version}\n" if version else "")
            return repository.commit({path: content}, message, snapshot.commit), LIVE_BRANCH, snapshot.commit

        pushed = transact(repository, attempt)
    note = f"version {version} gets a copy of the requests" if version else "no shadow runs"
    commit = pushed or at["commit"]
    return Release(name, version or at["live"], LIVE_BRANCH, commit, changed=pushed is not None, note=note)
