"""A promotion, a rollback or a retirement as a pull request: which version gives way to which, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from delivery.documents.markdown import code
from delivery.forges.forge import DesiredProposal, Forge, ForgeError, PullRequest
from delivery.git.repository import LIVE_BRANCH
from delivery.kserve.manifest import manifest_path
from delivery.releases.environments import PRODUCTION, Promotion, production_path
from delivery.releases.proposal import ManifestChange, ensure_open, pushed, read_change, settle, supersede
from delivery.releases.propose import how_to_merge
from delivery.releases.pull_request_text import change_lines
from delivery.releases.release import Release
from delivery.releases.retirement import Retirement
from training.spec import ModelSpec, ReleaseSpec


@dataclass(frozen=True)
class _Proposed:
    """The version that a promotion or a rollback brings, and where to."""

    spec: ModelSpec
    branch: str
    environment: str
    """"" for what is released."""
    version: str

    @property
    def called(self) -> str:
        return f"{self.spec.name} in {self.environment}" if self.environment else self.spec.name


_Describe = Callable[[_Proposed, ManifestChange], list[str]]


def propose_promotion(forge: Forge | None, spec: ModelSpec, manifests_remote: str, promotion: Promotion) -> Promotion:
    """The promotion with its open pull request or, without a forge, with a note that says how to merge the branch.

    Nothing is done for one on the live branch. Raises ForgeError if the forge can't be used; the branch stays, and
    calling again finishes.
    """
    if promotion.branch == LIVE_BRANCH:
        return promotion
    if forge is None:
        return replace(promotion, note=how_to_merge(manifests_remote, promotion.branch))
    proposal = _Proposed(spec, promotion.branch, promotion.environment, promotion.version)
    title = f"Promote {spec.name} v{promotion.version} to {promotion.environment}"
    return replace(promotion, pull_request=_propose(forge, manifests_remote, proposal, title, _describe_promotion).url)


def propose_rollback(
    forge: Forge | None, spec: ModelSpec, manifests_remote: str, release: Release, environment: str | None
) -> Release:
    """The rollback with its open pull request; see :func:`propose_promotion`."""
    if release.branch == LIVE_BRANCH:
        return release
    if forge is None:
        return replace(release, note=how_to_merge(manifests_remote, release.branch))
    proposal = _Proposed(spec, release.branch, environment or "", release.version)
    title = f"Roll back {proposal.called} to v{release.version}"
    return replace(release, pull_request=_propose(forge, manifests_remote, proposal, title, _describe_rollback).url)


def propose_retirement(
    forge: Forge | None, release: ReleaseSpec, manifests_remote: str, retirement: Retirement
) -> Retirement:
    """The retirement with its open pull request; see :func:`propose_promotion`."""
    if forge is None:
        return replace(retirement, note=how_to_merge(manifests_remote, retirement.branch))
    name = retirement.model
    lines = [
        f"{code(name)} goes when this is merged; version {retirement.version} is live until then. The registry's "
        f"aliases go with the next `ostinato reconcile`.",
        "",
        "The cluster keeps the service until somebody types, in this order:",
        "",
        *(f"    {command}" for command in retirement.commands),
        "",
        "The way back, before that: `git revert` of the merged commit.",
    ]
    request = DesiredProposal(
        retirement.branch, f"Retire {name}", "\n".join(lines) + "\n", release.labels, release.reviewers, release.draft
    )
    try:
        pull = ensure_open(forge, request)
        settle(forge, pull, request)
    except ForgeError as error:
        raise pushed(error, retirement.branch) from error
    return replace(retirement, pull_request=pull.url)


def _propose(forge: Forge, manifests_remote: str, proposed: _Proposed, title: str, describe: _Describe) -> PullRequest:
    path = (production_path if proposed.environment == PRODUCTION else manifest_path)(proposed.spec.name)
    try:
        change = read_change(manifests_remote, proposed.spec.name, proposed.branch, path)
        lines = [*describe(proposed, change), "", *change_lines(change, proposed.version)]
        release = proposed.spec.release
        desired = DesiredProposal(
            proposed.branch, title, "\n".join(lines) + "\n", release.labels, release.reviewers, release.draft
        )
        pull = ensure_open(forge, desired)
        settle(forge, pull, desired)
        kind = proposed.branch.rpartition("-v")[0]
        for other in forge.proposals("open"):
            if other.branch.rpartition("-v")[0] == kind and other.number != pull.number:
                supersede(forge, other, pull)
    except ForgeError as error:
        raise pushed(error, proposed.branch) from error
    return pull


def _describe_promotion(proposed: _Proposed, change: ManifestChange) -> list[str]:
    instead = f", in the place of version {change.before.version}" if change.before else ", the first that does"
    return [
        f"Version {proposed.version} of {code(proposed.spec.name)} goes to {proposed.environment}{instead}, when this "
        "is merged.",
        "",
        "It is the released file, byte for byte: what staging runs, with the evidence that its release carried "
        f"(verdict {code(change.after.verdict_digest)}).",
        "",
        f"The way back, in one commit: `ostinato rollback {proposed.spec.name} --in {proposed.environment}`.",
    ]


def _describe_rollback(proposed: _Proposed, change: ManifestChange) -> list[str]:
    gone = f" and version {change.before.version} goes away" if change.before else ""
    return [
        f"Version {proposed.version} of {code(proposed.called)} comes back{gone}, when this is merged.",
        "",
        "These are the bytes that were live before; no run brings back what goes away here, "
        f"`ostinato promote {proposed.spec.name} --version N` does.",
    ]
