"""A shadow: a version that gets a copy of every inference request, and whose answers nobody gets."""

from collections.abc import Callable

from delivery.connections import Connections
from delivery.git.change import Change, commit_change
from delivery.git.manifests import manifest_at
from delivery.git.repository import Snapshot
from delivery.kserve.changes import with_shadow, without_shadow
from delivery.kserve.manifest import Manifest, manifest_path
from delivery.releases.release import Release, releasable, served_version
from training.errors import InputError
from training.spec import ModelSpec


def commit_shadow(spec: ModelSpec, connections: Connections, version: str) -> Release:
    """Mirror the live model's requests to a version, in place of another shadow; committed on the live branch.

    Raises InputError where mirroring can't work, nothing is live, the version is live itself or a canary runs;
    GateRefused without a passing verdict.
    """
    registered, storage_uri = releasable(spec, connections, version)

    def shadowed(now: Manifest) -> Manifest:
        running = now.served
        if running.canary:
            raise InputError(
                f"{spec.name} has a canary, version {running.canary.version}, whose share a mirror would take away; "
                f"end it first with: ostinato canary {spec.name} --finish or --abort"
            )
        if running.version == version:
            raise InputError(f"version {version} of {spec.name} is live already; a shadow is another version")
        return with_shadow(spec, now, served_version(registered, storage_uri))

    return _change(connections.manifests_remote, spec.name, version, f"Shadow of {spec.name} v{version}", shadowed)


def commit_shadow_end(manifests_remote: str, name: str) -> Release:
    """Take the shadow and its route out. Nothing changes if there is none; raises InputError if nothing is live."""
    return _change(manifests_remote, name, "", f"End the shadow of {name}", without_shadow)


def _change(
    manifests_remote: str, name: str, version: str, subject: str, change: Callable[[Manifest], Manifest]
) -> Release:
    """Commit what ``change`` makes of the manifest that is live."""
    live_version = ""

    def mirror(snapshot: Snapshot) -> Change | None:
        nonlocal live_version
        now = manifest_at(snapshot, name)
        if now is None:
            raise InputError(f"{name} is not live, so it has no requests to mirror; see `ostinato status`")
        content, live_version, path = change(now).content, now.served.version, manifest_path(name)
        trailers = f"Ostinato-Model: {name}\nOstinato-Version: {live_version}\n"
        message = f"{subject}\n\n{trailers}" + (f"Ostinato-Shadow: {version}\n" if version else "")
        return Change(path, {path: content}, message) if content != now.content else None

    committed = commit_change(manifests_remote, mirror)
    note = f"version {version} gets a copy of the requests" if version else "no shadow runs"
    return Release(name, version or live_version, *committed, note=note)
