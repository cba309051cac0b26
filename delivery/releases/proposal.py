"""A release as a proposal at a forge: one open pull request a model, found by its branch before it is opened."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

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
from delivery.kserve.manifest import LiveModel, manifest_path
from delivery.releases.release import Release, subject
from delivery.retry import RetryPolicy, raised, retrying
from training.errors import GateRefused, InputError
from training.spec import ModelSpec

BRANCH = re.compile(r"release/([^/]+)/v([1-9][0-9]*)")
SUPERSEDED = "<!-- ostinato: superseded -->"
"""In the comment of a proposal that gave way to another one, which is no rejection."""


@dataclass(frozen=True)
class ManifestChange:
    """What a release branch changes."""

    before: LiveModel | None
    after: LiveModel


def ensure_proposed(
    forge: Forge,
    spec: ModelSpec,
    manifests_remote: str,
    released: Release,
    body: Callable[[ManifestChange], str],
    by_hand: bool,
) -> Release:
    """The release with the address of its open pull request, which is opened, or updated where it differs.

    Nothing is done for a release that is on the live branch. Other open proposals of the model are superseded: the
    older ones by what a run proposes, all of them by what a person does. The branch is pushed already, so calling
    again finishes what a failure left. Raises ForgeError if the forge can't be used; GateRefused if a newer version
    is proposed and this is a run.
    """
    if released.branch == LIVE_BRANCH:
        return released
    try:
        change = read_change(manifests_remote, spec.name, released.branch, manifest_path(spec.name))
        desired = DesiredProposal(
            branch=released.branch,
            title=subject(change.before, change.after, released.version),
            body=body(change),
            labels=spec.release.labels,
            reviewers=spec.release.reviewers,
            draft=spec.release.draft,
        )
        pull = ensure_open(forge, desired)
        settle(forge, pull, desired)
        newest = _give_way(forge, spec.name, pull, by_hand)
    except ForgeError as error:
        raise pushed(error, released.branch) from error
    if newest.number != pull.number:
        raise GateRefused(
            f"version {released.version} of {spec.name} is older than what is proposed at {newest.url}, so {pull.url} "
            f"was closed. If it is to go live all the same: ostinato promote {spec.name} --version {released.version}"
        )
    return replace(released, pull_request=pull.url)


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
    """The branch's open proposal, opened if there is none; a lost answer is looked up before it is asked again."""
    for attempt in retrying(RetryPolicy(), raised(AlreadyProposed, ForgeUnavailable)):
        pull = open_one(forge.of_branch(desired.branch))
        if pull:
            return pull
        with attempt:
            opened = forge.open(desired)
            effect("pull request opened")
            return opened
    raise AssertionError


def open_one(pulls: list[PullRequest]) -> PullRequest | None:
    """The open one of a branch's proposals."""
    return next((pull for pull in pulls if pull.state == "open"), None)


def settle(forge: Forge, pull: PullRequest, desired: DesiredProposal) -> None:
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


def _give_way(forge: Forge, name: str, own: PullRequest, by_hand: bool) -> PullRequest:
    """Close every open proposal of the model but one, and return that one: a person's, else the newest version."""
    others = [pull for pull in forge.proposals("open") if model_of(pull) == name and pull.number != own.number]
    staying = own if by_hand else max([own, *others], key=lambda pull: int(version_of(pull)))
    for pull in [own, *others]:
        if pull.number != staying.number:
            supersede(forge, pull, staying)
    return staying


def supersede(forge: Forge, old: PullRequest, by: PullRequest) -> None:
    """Close a proposal with a comment that names the one that takes its place."""
    text = f"Superseded by {by.url}, which proposes version {version_of(by)}.\n\n{SUPERSEDED}"
    for attempt in retrying(RetryPolicy(), raised(ForgeUnavailable)):
        if superseding(forge.comments(old), by):
            break
        with attempt:
            forge.comment(old, text)
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
