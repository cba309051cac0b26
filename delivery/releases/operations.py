"""What changes what is live, always in this order: look up, commit or propose, let the registry's aliases follow.

Each operation may stop anywhere; called again, it finishes what is left and changes nothing more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from delivery.connections import Connections
from delivery.forges.choose import connected_forge
from delivery.forges.forge import Forge
from delivery.git.repository import LIVE_BRANCH, ReleaseMode
from delivery.releases.canary import commit_canary, commit_takeover, commit_takeover_end
from delivery.releases.environments import Promotion, commit_promotion
from delivery.releases.live import live
from delivery.releases.manifest_commit import ManifestCommit
from delivery.releases.promotion_proposals import propose_promotion, propose_retirement, propose_rollback
from delivery.releases.proposal import pushed
from delivery.releases.propose import check_proposable, propose
from delivery.releases.reconcile import AliasChange, follow_retirement, reconcile
from delivery.releases.rejection import follow_rejections, overrule
from delivery.releases.release import Release, chosen_version, release, second_step
from delivery.releases.retirement import Retirement, commit_retirement
from delivery.releases.rollback import commit_canary_end, commit_rollback
from delivery.releases.shadow import commit_shadow, commit_shadow_end
from delivery.trust.rules import SKIP
from training.errors import OstinatoError
from training.spec import ModelSpec, ReleaseSpec

Change = TypeVar("Change", Release, Promotion, Retirement)


@dataclass(frozen=True)
class Outcome(Generic[Change]):
    """What an operation came to: in git, and in the registry."""

    result: Change
    aliases: tuple[AliasChange, ...] = ()
    behind: str = ""
    """Why the registry's aliases could not follow yet, "" where they do. What is in git is done all the same."""


def promote(
    spec: ModelSpec,
    connections: Connections,
    version: str | None = None,
    mode: ReleaseMode | None = None,
    skip: str | None = None,
) -> Outcome[Release]:
    """Release a version by hand; without one, the registry's candidate. The mode is the spec's unless given.

    skip: a check that the policy requires, and that it lets this author go without. Raises as
    :func:`delivery.releases.release.release` does, and InputError if there is no candidate; ForgeError where the branch
    is pushed and the pull request is not open.
    """
    chosen = chosen_version(spec, connections, version)
    trailers = {SKIP: skip} if skip else {}
    released = release(spec, connections, chosen, mode or spec.release.mode, trailers)
    return _proposed_and_followed(spec, connections, released)


def promote_to_production(
    spec: ModelSpec, connections: Connections, mode: ReleaseMode | None = None
) -> Outcome[Promotion]:
    """Bring what is released to production, byte for byte; raises as
    :func:`delivery.releases.environments.commit_promotion` does."""
    promotion = commit_promotion(connections.manifests_remote, spec.name, mode or spec.release.mode)
    promotion = propose_promotion(_forge(connections, promotion), spec, connections.manifests_remote, promotion)
    return _followed(promotion, lambda: reconcile(connections, spec.name))


def roll_back(
    spec: ModelSpec,
    connections: Connections,
    to: str | None = None,
    environment: str | None = None,
    mode: ReleaseMode = "direct",
) -> Outcome[Release]:
    """Go back, with or without a registry; raises as :func:`delivery.releases.rollback.commit_rollback` does."""
    remote = connections.manifests_remote
    restored = commit_rollback(remote, spec.name, to, environment, mode)
    restored = propose_rollback(_forge(connections, restored), spec, remote, restored, environment)
    return _followed(restored, lambda: reconcile(connections, spec.name))


def retire(
    name: str, connections: Connections, proposals: ReleaseSpec, mode: ReleaseMode | None = None
) -> Outcome[Retirement]:
    """Take a model out of git, and its aliases out of the registry. Its training folder may be gone already.

    proposals: how a pull request looks, and the mode unless it is given. Raises as
    :func:`delivery.releases.retirement.commit_retirement` does.
    """
    retirement = commit_retirement(connections.manifests_remote, name, mode or proposals.mode)
    if retirement.branch != LIVE_BRANCH:
        remote = connections.manifests_remote
        return Outcome(propose_retirement(connected_forge(connections), proposals, remote, retirement))
    return _followed(retirement, lambda: follow_retirement(connections, name, retirement.registered_model))


def start_canary(
    spec: ModelSpec, connections: Connections, percent: int, version: str | None = None, mode: ReleaseMode | None = None
) -> Outcome[Release]:
    """Give a version a share of the requests; raises as :func:`delivery.releases.canary.commit_canary` does."""
    released = commit_canary(spec, connections, percent, version, mode)
    return _proposed_and_followed(spec, connections, released)


def finish_canary(
    spec: ModelSpec,
    connections: Connections,
    mode: ReleaseMode | None = None,
    wait: Callable[[], str] = lambda: "no cluster was asked",
) -> Outcome[Release]:
    """Make the canary the live version, in two steps, so that nobody gets the version before again.

    First its version becomes live beside its canary; when the live pods are ready, the canary goes. wait: returns ""
    when they are, or why that is not known, and raises OstinatoError if they are not. Where it is not known, the second
    step is a second call: whoever calls again says that they are. Each step is proposed where releases are. Raises as
    :func:`delivery.releases.canary.commit_takeover` does.
    """
    if _takes_over(spec, connections):
        wait()
    else:
        started = commit_takeover(spec, connections, mode)
        if started.branch != LIVE_BRANCH:
            note = second_step(started.model, started.version, "that is merged and ")
            return _proposed_and_followed(spec, connections, replace(started, note=note))
        if not _takes_over(spec, connections):
            return _proposed_and_followed(spec, connections, started)
        if unknown := wait():
            note = f"{started.note} ({unknown})"
            return _proposed_and_followed(spec, connections, replace(started, note=note))
    return _proposed_and_followed(spec, connections, commit_takeover_end(spec, connections, mode))


def _takes_over(spec: ModelSpec, connections: Connections) -> bool:
    running = live(connections.manifests_remote, spec.name)
    return running is not None and running.takes_over


def abort_canary(spec: ModelSpec, connections: Connections) -> Outcome[Release]:
    """Take the canary away, by a commit at once. Raises InputError if the model is not live."""
    ended = commit_canary_end(connections.manifests_remote, spec.name)
    return _proposed_and_followed(spec, connections, ended)


def start_shadow(spec: ModelSpec, connections: Connections, version: str) -> Outcome[Release]:
    """Mirror the requests to a version, which moves no alias; raises as
    :func:`delivery.releases.shadow.commit_shadow` does."""
    return Outcome(commit_shadow(spec, connections, version))


def end_shadow(spec: ModelSpec, connections: Connections) -> Outcome[Release]:
    """Take the shadow away. Raises InputError if nothing is live."""
    return Outcome(commit_shadow_end(connections.manifests_remote, spec.name))


def deploy(
    spec: ModelSpec,
    connections: Connections,
    version: str,
    mode: ReleaseMode,
    judged_against: str,
    trailers: Mapping[str, str],
) -> Outcome[Release]:
    """Release what a run has judged against the version ``judged_against``, "" for none.

    A run brings back nothing that people rejected or took away. Raises GateRefused for that, or if a newer version is
    proposed; OstinatoError if another version is live by now; ForgeError if the branch is there and the pull request is
    not.
    """
    forge = connected_forge(connections) if mode == "pull-request" else None
    unreachable = check_proposable(forge, spec, connections, version) if forge else None
    released = release(spec, connections, version, mode, trailers, judged_against=judged_against)
    if unreachable and released.branch != LIVE_BRANCH:
        raise pushed(unreachable, released.branch) from unreachable
    released = propose(forge, spec, connections, released, by_hand=False)
    aliases = reconcile(connections, spec.name)
    if forge and not unreachable:
        follow_rejections(forge, connections, {spec.name: spec.registered_name})
    return Outcome(released, tuple(aliases))


def _proposed_and_followed(spec: ModelSpec, connections: Connections, released: Release) -> Outcome[Release]:
    """What a person released: with its pull request, rejected no more, and followed by the aliases."""
    released = propose(_forge(connections, released), spec, connections, released, by_hand=True)
    overrule(connections.tracking_uri, spec, released.version)
    return Outcome(released, tuple(reconcile(connections, spec.name)))


def _forge(connections: Connections, change: ManifestCommit) -> Forge | None:
    """Where a change that waits for a reviewer is proposed; nothing is asked for one that does not."""
    return connected_forge(connections) if change.branch != LIVE_BRANCH else None


def _followed(change: Change, follow: Callable[[], list[AliasChange]]) -> Outcome[Change]:
    """The aliases follow where the registry can be used; the change is made whether or not it can."""
    try:
        return Outcome(change, tuple(follow()))
    except OstinatoError as error:
        return Outcome(change, behind=str(error))
