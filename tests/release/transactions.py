"""Small transactions on a manifests repository, and what they left in it."""

from pathlib import Path

from harness.candidates import bare_git

from delivery.git.change import Change, commit_change
from delivery.git.repository import LIVE_BRANCH, Snapshot, open_repository


def put(remote: str, path: str, content: bytes) -> str | None:
    """Commit one file to the live branch, unless it holds these bytes already."""

    def prepare(snapshot: Snapshot) -> Change | None:
        change = Change(path, {path: content}, f"Put {path}\n")
        return None if snapshot.read(path).get(path) == content else change

    committed = commit_change(remote, prepare)
    return committed.commit if committed.changed else None


def read(remote: str, *paths: str) -> dict[str, bytes]:
    with open_repository(remote) as repository:
        return repository.snapshot().read(*paths)


def commits(repository: Path) -> int:
    return int(bare_git(repository, "rev-list", "--count", LIVE_BRANCH))


def refs(repository: Path) -> str:
    """Every ref of a repository and the commit that it is at."""
    return bare_git(repository, "for-each-ref")
