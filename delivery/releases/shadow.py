"""A shadow: a version that gets a copy of every inference request, and whose answers nobody gets."""

from collections.abc import Callable

from delivery.connections import Connections
from delivery.git.repository import LIVE_BRANCH, open_repository, transact
from delivery.kserve.changes import with_shadow, without_shadow
from delivery.kserve.manifest import Manifest, manifest_path
from delivery.kserve.parse import parse
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
    path = manifest_path(name)
    at = {"commit": "", "live": ""}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            snapshot = repository.snapshot()
            raw = snapshot.read(path).get(path)
            if raw is None:
                raise InputError(f"{name} is not live, so it has no requests to mirror; see `ostinato status`")
            now = parse(raw, name, snapshot.commit)
            content = change(now).content
            at.update(commit=snapshot.commit, live=now.served.version)
            if content == raw:
                return None
            trailers = f"Ostinato-Model: {name}\nOstinato-Version: {now.served.version}\n"
            message = f"{subject}\n\n{trailers}" + (f"Ostinato-Shadow: {version}\n" if version else "")
            return repository.commit({path: content}, message, snapshot.commit), LIVE_BRANCH, snapshot.commit

        pushed = transact(repository, attempt)
    note = f"version {version} gets a copy of the requests" if version else "no shadow runs"
    commit = pushed or at["commit"]
    return Release(name, version or at["live"], LIVE_BRANCH, commit, changed=pushed is not None, note=note)
