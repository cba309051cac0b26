"""What git says is live, and what is proposed."""

import re
from dataclasses import dataclass

from delivery.git.history import blob_of, is_merged
from delivery.git.manifests import manifest_at
from delivery.git.repository import LIVE_BRANCH, Snapshot, open_repository
from delivery.kserve.manifest import LiveModel, manifest_path

_MANIFEST = re.compile(r"models/([^/]+)/inferenceservice\.yaml")

_BRANCH = re.compile(r"release/([^/]+)/v([1-9][0-9]*)")


@dataclass(frozen=True)
class Proposal:
    """A release branch that is not merged."""

    model: str
    version: str
    branch: str
    commit: str
    url: str = ""
    """Of its pull request, "" without one."""
    draft: bool = False
    note: str = ""
    """Why there is no pull request, "" where none is to be expected."""


def live(remote: str, name: str) -> LiveModel | None:
    """What git says is live for one model, None if nothing is. Raises InputError for a broken manifest."""
    with open_repository(remote) as repository:
        manifest = manifest_at(repository.snapshot(), name)
    return manifest.served if manifest else None


def live_manifests(remote: str) -> dict[str, tuple[bytes, str]]:
    """Bytes of every model's manifest and the commit they were read from, by model name."""
    with open_repository(remote) as repository:
        snapshot = repository.snapshot()
        files = snapshot.read("models")
    manifests = {match[1]: content for path, content in files.items() if (match := _MANIFEST.fullmatch(path))}
    return {name: (manifests[name], snapshot.commit) for name in sorted(manifests)}


def open_proposals(remote: str) -> list[Proposal]:
    """The release branches whose manifest has not been merged in any way: merge, squash or rebase."""
    with open_repository(remote) as repository:
        tips = repository.fetch(LIVE_BRANCH, "release/*", history=True)
        snapshot, proposals = Snapshot(repository, tips[LIVE_BRANCH]), list[Proposal]()
        for branch, commit in sorted(tips.items()):
            match = _BRANCH.fullmatch(branch)
            path = manifest_path(match[1]) if match else ""
            if match and blob_of(repository, commit, path) and not is_merged(snapshot, commit, path):
                proposals.append(Proposal(match[1], match[2], branch, commit))
    return proposals
