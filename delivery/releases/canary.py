"""A canary: the new version gets a share of the requests first; it then takes over, in two commits, or goes away."""

from typing import Literal

from pydantic import ValidationError

from delivery.connections import Connections
from delivery.git.repository import LIVE_BRANCH
from delivery.releases.live import live
from delivery.releases.release import (
    Release,
    ReleaseMode,
    ReleaseRequest,
    chosen_version,
    propose_or_commit,
    releasable,
    release,
)
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec


def commit_canary(
    spec: ModelSpec, connections: Connections, percent: int, version: str | None = None, mode: ReleaseMode | None = None
) -> Release:
    """Give a version ``percent`` of the requests, or another percent if it is the canary already.

    version: the running canary's unless given, else the registry's candidate. Raises InputError where KServe would not
    split the requests, if nothing is live, or there is no such version; GateRefused without a passing verdict.
    """
    check_canary(spec, percent)
    running = live(connections.manifests_remote, spec.name)
    if running is None:
        raise InputError(
            f"{spec.name} is not live, so there is nothing to be a canary beside; release it with: "
            f"ostinato promote {spec.name}"
        )
    beside = running.canary.version if running.canary else None
    chosen = chosen_version(spec, connections, version or beside)
    if chosen == running.version:
        raise InputError(f"version {chosen} of {spec.name} is live already; name another one with --version")
    chosen_mode = mode or spec.release.mode
    return release(spec, connections, chosen, chosen_mode, percent=percent)


def commit_takeover(spec: ModelSpec, connections: Connections, mode: ReleaseMode | None = None) -> Release:
    """Make the canary's version live, with its canary beside it until the live pods are ready; in Knative mode, where
    none is needed, without one. Nothing changes if no canary runs, or its version is live already.

    Raises InputError if the model is not live, OstinatoError if the registry knows the version with another digest or
    another commit ends the canary meanwhile.
    """
    return _take_over(spec, connections, "start", mode)


def commit_takeover_end(spec: ModelSpec, connections: Connections, mode: ReleaseMode | None = None) -> Release:
    """Take the canary away whose version is live. Nothing changes if it is gone already.

    Raises as :func:`commit_takeover` does, and OstinatoError if another version is live.
    """
    return _take_over(spec, connections, "end", mode)


def _take_over(
    spec: ModelSpec, connections: Connections, step: Literal["start", "end"], mode: ReleaseMode | None
) -> Release:
    running = live(connections.manifests_remote, spec.name)
    if running is None:
        raise InputError(f"{spec.name} is not live, so no canary runs; see `ostinato status`")
    canary = running.canary
    if canary is None:
        note = f"no canary runs; version {running.version} is live"
        return Release(spec.name, running.version, LIVE_BRANCH, running.commit, changed=False, note=note)
    registered, storage_uri = releasable(spec, connections, canary.version)
    if registered.digest != canary.digest:
        raise OstinatoError(
            f"the canary of {spec.name} is version {canary.version} with digest {canary.digest}, but the registry has "
            f"it with {registered.digest}; end it with: ostinato canary {spec.name} --abort"
        )
    request = ReleaseRequest(registered, storage_uri, percent=0, takeover=step)
    return propose_or_commit(spec, connections, request, mode or spec.release.mode, {})


def check_canary(spec: ModelSpec, percent: int) -> None:
    """Raises InputError with the spec's own reason where the cluster would not split the requests."""
    if not 1 <= percent <= 99:
        raise InputError(f"--percent {percent}: a canary gets 1 to 99 percent; all requests are --finish, none --abort")
    raw = spec.model_dump()
    raw["serving"]["canary"] = {"percent": percent}
    try:
        ModelSpec.model_validate(raw)
    except ValidationError as error:
        reasons = "\n".join(f"  serving: {problem['msg'].removeprefix('Value error, ')}" for problem in error.errors())
        raise InputError(f"{spec.name} can't have a canary as its spec.yaml is:\n{reasons}") from error
