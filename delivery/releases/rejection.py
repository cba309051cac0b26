"""A proposal that people closed without a merge marks its model version rejected, until one is open or merged again."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from delivery.connections import Connections
from delivery.effects import effect
from delivery.forges.forge import Forge, PullRequest
from delivery.kserve.parse import parse
from delivery.registry.lookup import registry
from delivery.registry.versions import OVERRULED_TAG, REJECTED_TAG, ModelVersion
from delivery.releases.live import live_manifests
from delivery.releases.proposal import model_of, superseding, version_of
from training.errors import InputError
from training.spec import ModelSpec

LONGEST = 400
"""Characters of the comment that are kept."""


@dataclass(frozen=True)
class Rejection:
    """A mark that was set on a version, or taken away."""

    model: str
    version: str
    why: str
    """Address of the proposal, who closed it and the last comment; "" where the mark was taken away."""


def follow_rejections(
    forge: Forge, connections: Connections, registered: Mapping[str, str], branch: str = ""
) -> list[Rejection]:
    """Make the tag `ostinato.rejected` of every proposed version what its newest proposal says.

    registered: name in the registry by model. branch: look at this release branch only. Returns the changes; a second
    call returns none. A version that is live is never marked. Raises ForgeError or OstinatoError if the forge or the
    registry can't be used.
    """
    pulls = forge.of_branch(branch) if branch else [*forge.proposals("open"), *forge.proposals("closed")]
    serving = _live_versions(connections.manifests_remote) if any(pull.state == "closed" for pull in pulls) else {}
    tracking_uri = connections.tracking_uri
    changes: list[Rejection] = []
    for last in _deciding(pulls):
        name, version = model_of(last), version_of(last)
        registered_version = registry(tracking_uri).version(registered[name], version) if name in registered else None
        if registered_version is None:
            continue
        is_rejected = last.state == "closed" and serving.get(name) != version
        why = _why(forge, tracking_uri, registered_version, last) if is_rejected else ""
        if registered_version.tags.get(REJECTED_TAG, "") != why:
            _mark(tracking_uri, registered_version, why)
            changes.append(Rejection(name, version, why))
    return changes


def _deciding(pulls: list[PullRequest]) -> list[PullRequest]:
    """Of each version's proposals the open one, else the newest."""
    by_branch: dict[str, PullRequest] = {}
    for pull in sorted(pulls, key=lambda pull: (pull.state == "open", pull.number)):
        if model_of(pull):
            by_branch[pull.branch] = pull
    return [by_branch[branch] for branch in sorted(by_branch)]


def _why(forge: Forge, tracking_uri: str, version: ModelVersion, pull: PullRequest) -> str:
    """Why a closed proposal is a rejection, "" if it is none: it gave way to another, or was overruled."""
    known = version.tags.get(REJECTED_TAG, "")
    if known.split(" ")[0] == pull.url:
        return known
    if version.tags.get(OVERRULED_TAG) == pull.url:
        return ""
    comments = forge.comments(pull.number)
    if superseding(comments):
        _settle(tracking_uri, version, pull.url)  # so that its comments are read once
        return ""
    text = re.sub(r"\s+", " ", comments[-1].text).strip()[:LONGEST] if comments else ""
    who = forge.closed_by(pull) or "somebody"
    return f"{pull.url} closed by {who}" + (f": {text}" if text else " without a comment")


def _live_versions(manifests_remote: str) -> dict[str, str]:
    """Live version by model; one with a broken manifest is not in it, since its reconcile says so."""
    versions: dict[str, str] = {}
    for name, (content, commit) in live_manifests(manifests_remote).items():
        with contextlib.suppress(InputError):
            versions[name] = parse(content, name, commit).served.version
    return versions


def overrule(tracking_uri: str, spec: ModelSpec, version: str) -> None:
    """Take the mark from a version that a person releases by name, for good: that proposal marks it no more."""
    registered = registry(tracking_uri).version(spec.registered_name, version)
    why = registered.tags.get(REJECTED_TAG) if registered else None
    if registered and why:
        _settle(tracking_uri, registered, why.split(" ")[0])
        _mark(tracking_uri, registered, "")


def _settle(tracking_uri: str, version: ModelVersion, url: str) -> None:
    """Remember that this closed proposal is no rejection."""
    from delivery.registry.writes import set_version_tag

    set_version_tag(tracking_uri, version.name, version.version, OVERRULED_TAG, url)


def _mark(tracking_uri: str, version: ModelVersion, why: str) -> None:
    from delivery.registry.writes import set_version_tag

    set_version_tag(tracking_uri, version.name, version.version, REJECTED_TAG, why)
    effect("rejection set" if why else "rejection removed")
