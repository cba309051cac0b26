"""A promotion or a rollback as a pull request: which version gives way to which, and that its bytes are known."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from delivery.documents.markdown import code
from delivery.forges.forge import Forge, ForgeError, PullRequest, Wanted
from delivery.git.repository import LIVE_BRANCH
from delivery.kserve.manifest import manifest_path
from delivery.releases.environments import PRODUCTION, Promotion, production_path
from delivery.releases.proposal import Change, ensure_open, pushed, read_change, settle, supersede
from delivery.releases.propose import how_to_merge
from delivery.releases.pull_request_text import change_lines
from delivery.releases.release import Release
from training.spec.model import ModelSpec


@dataclass(frozen=True)
class _Move:
    spec: ModelSpec
    branch: str
    environment: str
    """"" for what is released."""
    version: str

    @property
    def called(self) -> str:
        return f"{self.spec.name} in {self.environment}" if self.environment else self.spec.name


_Telling = Callable[[_Move, Change], list[str]]


def propose_promotion(forge: Forge | None, spec: ModelSpec, manifests_remote: str, done: Promotion) -> Promotion:
    """The promotion with its open pull request or, without a forge, with a note that says how to merge the branch.

    Nothing is done for one on the live branch. Raises ForgeError if the forge can't be used; the branch stays, and
    calling again finishes.
    """
    if done.branch == LIVE_BRANCH:
        return done
    if forge is None:
        return replace(done, note=how_to_merge(manifests_remote, done.branch))
    move = _Move(spec, done.branch, done.environment, done.version)
    title = f"Promote {spec.name} v{done.version} to {done.environment}"
    return replace(done, pull_request=_propose(forge, manifests_remote, move, title, _promoting).url)


def propose_rollback(
    forge: Forge | None, spec: ModelSpec, manifests_remote: str, done: Release, environment: str | None
) -> Release:
    """The rollback with its open pull request; see :func:`propose_promotion`."""
    if done.branch == LIVE_BRANCH:
        return done
    if forge is None:
        return replace(done, note=how_to_merge(manifests_remote, done.branch))
    move = _Move(spec, done.branch, environment or "", done.version)
    title = f"Roll back {move.called} to v{done.version}"
    return replace(done, pull_request=_propose(forge, manifests_remote, move, title, _going_back).url)


def _propose(forge: Forge, manifests_remote: str, move: _Move, title: str, told: _Telling) -> PullRequest:
    path = production_path(move.spec.name) if move.environment == PRODUCTION else manifest_path(move.spec.name)
    try:
        change = read_change(manifests_remote, move.spec.name, move.branch, path)
        lines = [*told(move, change), "", *change_lines(change, move.version)]
        release = move.spec.release
        wanted = Wanted(move.branch, title, "\n".join(lines) + "\n", release.labels, release.reviewers, release.draft)
        pull = ensure_open(forge, wanted)
        settle(forge, pull, wanted)
        kind = move.branch.rpartition("-v")[0]
        for other in forge.proposals("open"):
            if other.branch.rpartition("-v")[0] == kind and other.number != pull.number:
                supersede(forge, other, pull)
    except ForgeError as error:
        raise pushed(error, move.branch) from error
    return pull


def _promoting(move: _Move, change: Change) -> list[str]:
    instead = f", in the place of version {change.before.version}" if change.before else ", the first that does"
    return [
        f"Version {move.version} of {code(move.spec.name)} goes to {move.environment}{instead}, when this is merged.",
        "",
        "It is the released file, byte for byte: what staging runs, with the evidence that its release carried "
        f"(verdict {code(change.after.verdict_digest)}).",
        "",
        f"The way back, in one commit: `ostinato rollback {move.spec.name} --in {move.environment}`.",
    ]


def _going_back(move: _Move, change: Change) -> list[str]:
    gone = f" and version {change.before.version} goes away" if change.before else ""
    return [
        f"Version {move.version} of {code(move.called)} comes back{gone}, when this is merged.",
        "",
        "These are the bytes that were live before; no run brings back what goes away here, "
        f"`ostinato promote {move.spec.name} --version N` does.",
    ]
