"""A release as a proposal at a forge: one open pull request a model, found by its branch before it is opened."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from delivery.addresses import redact
from delivery.effects import effect
from delivery.forges.forge import (
    AlreadyProposed,
    Comment,
    DesiredProposal,
    Forge,
    ForgeError,
    ForgeUnavailable,
    PullRequest,
    same_text,
)
from delivery.git.manifests import manifest_at
from delivery.git.repository import LIVE_BRANCH, Snapshot, open_repository
from delivery.kserve.manifest import LiveModel
from delivery.releases.manifest_commit import ManifestCommit
from delivery.retry import RetryPolicy, raised, retrying
from training.errors import GateRefused, InputError
from training.spec import ReleaseSpec

C = TypeVar("C", bound=ManifestCommit)
BRANCH = re.compile(r"release/([^/]+)/v([1-9][0-9]*)")
SUPERSEDED = "<!-- ostinato: superseded -->"
"""In the comment of a proposal that gave way to another one, which is no rejection."""


@dataclass(frozen=True)
class ManifestChange:
    """What a release branch changes."""

    before: LiveModel | None
    after: LiveModel


def with_proposal(
    forge: Forge | None,
    manifests_remote: str,
    change: C,
    settings: ReleaseSpec,
    describe: Callable[[], tuple[str, str]],
    give_way: Callable[[Forge, PullRequest], object] = lambda forge, pull: None,
) -> C:
    """The change with its open pull request or, without a forge, with a note that says how to merge the branch.

    Nothing is done for a change on the live branch. describe: title and body. give_way: closes what the proposal takes
    the place of. The branch is pushed already, so calling again finishes what a failure left. Raises ForgeError if the
    forge can't be used.
    """
    if change.branch == LIVE_BRANCH:
        return change
    if forge is None:
        notes = (change.note, how_to_merge(manifests_remote, change.branch))
        return replace(change, note="\n".join(note for note in notes if note))
    try:
        title, body = describe()
        desired = DesiredProposal(change.branch, title, body, settings.labels, settings.reviewers, settings.draft)
        pull = ensure_open(forge, desired)
        give_way(forge, pull)
    except ForgeError as error:
        raise pushed(error, change.branch) from error
    return replace(change, pull_request=pull.url)


def how_to_merge(manifests_remote: str, branch: str) -> str:
    """The commands that do what the button of a forge does."""
    return (
        "there is no forge for pull requests; look at the branch, and merge it with:\n"
        f"  git clone {shlex.quote(redact(manifests_remote))} manifests && cd manifests\n"
        f"  git diff origin/{LIVE_BRANCH}...origin/{branch}\n"
        f"  git merge --no-ff origin/{branch}\n"
        f"  git push origin {LIVE_BRANCH}\n"
        "  ostinato reconcile"
    )


def pushed(error: ForgeError, branch: str) -> ForgeError:
    """The error for a forge that failed when the branch was there already."""
    after = f"Branch {branch} is pushed and stays; run the same command again to finish the proposal"
    return type(error)(f"{error}. {after}")


def read_change(manifests_remote: str, name: str, branch: str, path: str) -> ManifestChange:
    """A manifest of the model on the live branch and on the proposed one. Raises InputError for a broken one."""
    with open_repository(manifests_remote) as repository:
        tips = repository.fetch(LIVE_BRANCH, branch)
        before, after = (manifest_at(Snapshot(repository, tips[tip]), name, path) for tip in (LIVE_BRANCH, branch))
    if after is None:
        raise InputError(
            f"branch {branch} of the manifests repository holds no {path}; delete the branch and run again"
        )
    return ManifestChange(before.served if before else None, after.served)


def ensure_open(forge: Forge, desired: DesiredProposal) -> PullRequest:
    """The branch's open proposal, opened if there is none, and brought up to date; a lost answer is looked up before it
    is asked again."""
    for attempt in retrying(RetryPolicy(), raised(AlreadyProposed, ForgeUnavailable)):
        pull = next((pull for pull in forge.of_branch(desired.branch) if pull.state == "open"), None)
        with attempt:
            if pull is None:
                pull = forge.open(desired)
                effect("pull request opened")
            _settle(forge, pull, desired)
            return pull
    raise AssertionError


def _settle(forge: Forge, pull: PullRequest, desired: DesiredProposal) -> None:
    """Make title, text, labels and reviewers what is wanted; whether it is a draft is for people to say."""
    asked = {name.lower() for name in pull.reviewers}
    ask = [name for name in desired.reviewers if name.lower() not in asked]
    if ask:
        answered = {name.lower() for name in forge.reviewers(pull)}
        ask = [name for name in ask if name.lower() not in answered]
    same = pull.title == desired.title and same_text(pull.body, desired.body)
    if same and not ask and set(desired.labels) <= set(pull.labels):
        return
    forge.update(pull, desired, ask)
    effect("pull request updated")


def keep_one(forge: Forge, name: str, own: PullRequest, by_hand: bool) -> None:
    """Close every open proposal of the model's releases but one: a person's, else the newest version's.

    Raises GateRefused if that is another one than a run's own.
    """
    others = [pull for pull in forge.proposals("open") if model_of(pull) == name and pull.number != own.number]
    staying = own if by_hand else max([own, *others], key=lambda pull: int(version_of(pull)))
    for pull in [own, *others]:
        if pull.number != staying.number:
            supersede(forge, pull, staying)
    if staying.number != own.number:
        version = version_of(own)
        raise GateRefused(
            f"version {version} of {name} is older than what is proposed at {staying.url}, so {own.url} "
            f"was closed. If it is to go live all the same: ostinato promote {name} --version {version}"
        )


def supersede(forge: Forge, old: PullRequest, by: PullRequest) -> None:
    """Close a proposal with a comment that names the one that takes its place."""
    text = f"Superseded by {by.url}, which proposes version {version_of(by)}.\n\n{SUPERSEDED}"
    for attempt in retrying(RetryPolicy(), raised(ForgeUnavailable)):
        if superseding(forge.comments(old.number), by):
            break
        with attempt:
            forge.comment(old.number, text)
    forge.close(old)
    effect("older proposal superseded")


def superseding(comments: list[Comment], by: PullRequest | None = None) -> bool:
    """Whether one of the comments says that the proposal gave way (to this one)."""
    return any(
        SUPERSEDED in comment.text and (by is None or by.url in comment.text.split(",")[0]) for comment in comments
    )


def model_of(pull: PullRequest) -> str:
    """The model of a proposal by its branch, "" for a branch of another kind."""
    match = BRANCH.fullmatch(pull.branch)
    return match[1] if match else ""


def version_of(pull: PullRequest) -> str:
    match = re.search(r"v([1-9][0-9]*)$", pull.branch)
    return match[1] if match else "0"


def newer_proposal(forge: Forge, name: str, version: str) -> PullRequest | None:
    """An open proposal of a newer version of the model, None without one."""
    pulls = (pull for pull in forge.proposals("open") if model_of(pull) == name)
    return next((pull for pull in pulls if int(version_of(pull)) > int(version)), None)
