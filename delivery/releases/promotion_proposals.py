"""A promotion, a rollback or a retirement as a pull request: which version gives way to which, and the way back."""

from collections.abc import Callable
from dataclasses import dataclass

from delivery.documents.markdown import code
from delivery.forges.forge import Forge, PullRequest
from delivery.kserve.manifest import manifest_path
from delivery.releases.environments import PRODUCTION, Promotion, production_path
from delivery.releases.proposal import C, ManifestChange, read_change, supersede, with_proposal
from delivery.releases.pull_request_text import change_lines
from delivery.releases.release import Release
from delivery.releases.retirement import Retirement
from training.spec import ModelSpec, ReleaseSpec


@dataclass(frozen=True)
class _Proposed:
    """The version that a promotion or a rollback brings, and where to."""

    spec: ModelSpec
    environment: str
    """"" for what is released."""
    version: str

    @property
    def called(self) -> str:
        return f"{self.spec.name} in {self.environment}" if self.environment else self.spec.name


_Describe = Callable[[_Proposed, ManifestChange], list[str]]


def propose_promotion(forge: Forge | None, spec: ModelSpec, manifests_remote: str, promotion: Promotion) -> Promotion:
    """The promotion with its open pull request; see :func:`delivery.releases.proposal.with_proposal`."""
    proposal = _Proposed(spec, promotion.environment, promotion.version)
    title = f"Promote {spec.name} v{promotion.version} to {promotion.environment}"
    return _propose(forge, manifests_remote, promotion, proposal, title, _describe_promotion)


def propose_rollback(
    forge: Forge | None, spec: ModelSpec, manifests_remote: str, release: Release, environment: str | None
) -> Release:
    """The rollback with its open pull request; see :func:`delivery.releases.proposal.with_proposal`."""
    proposal = _Proposed(spec, environment or "", release.version)
    title = f"Roll back {proposal.called} to v{release.version}"
    return _propose(forge, manifests_remote, release, proposal, title, _describe_rollback)


def propose_retirement(
    forge: Forge | None, settings: ReleaseSpec, manifests_remote: str, retirement: Retirement
) -> Retirement:
    """The retirement with its open pull request; see :func:`delivery.releases.proposal.with_proposal`."""
    lines = [
        f"{code(retirement.model)} goes when this is merged; version {retirement.version} is live until then. The "
        "registry's aliases go with the next `ostinato reconcile`.",
        "",
        "The cluster keeps the service until somebody types, in this order:",
        "",
        *(f"    {command}" for command in retirement.commands),
        "",
        "The way back, before that: `git revert` of the merged commit.",
    ]
    text = (f"Retire {retirement.model}", "\n".join(lines) + "\n")
    return with_proposal(forge, manifests_remote, retirement, settings, lambda: text)


def _propose(
    forge: Forge | None, manifests_remote: str, change: C, proposed: _Proposed, title: str, describe: _Describe
) -> C:
    path = (production_path if proposed.environment == PRODUCTION else manifest_path)(change.model)

    def described() -> tuple[str, str]:
        manifests = read_change(manifests_remote, change.model, change.branch, path)
        lines = [*describe(proposed, manifests), "", *change_lines(manifests, proposed.version)]
        return title, "\n".join(lines) + "\n"

    def give_way(forge: Forge, pull: PullRequest) -> None:
        kind = change.branch.rpartition("-v")[0]
        for other in forge.proposals("open"):
            if other.branch.rpartition("-v")[0] == kind and other.number != pull.number:
                supersede(forge, other, pull)

    return with_proposal(forge, manifests_remote, change, proposed.spec.release, described, give_way)


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
