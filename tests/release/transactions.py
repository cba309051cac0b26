"""Small transactions on a manifests repository, and what they left in it."""

from pathlib import Path

from harness.candidates import bare_git

from delivery.git.repository import LIVE_BRANCH, open_repository, transact


def put(remote: str, path: str, content: bytes) -> str | None:
    """Commit one file to the live branch, unless it holds these bytes already."""
    with open_repository(remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            snapshot = repository.snapshot()
            if snapshot.read(path).get(path) == content:
                return None
            commit = repository.commit({path: content}, f"Put {path}\n", snapshot.commit)
            return commit, LIVE_BRANCH, snapshot.commit

        return transact(repository, attempt)


def read(remote: str, *paths: str) -> dict[str, bytes]:
    with open_repository(remote) as repository:
        return repository.snapshot().read(*paths)


def commits(repository: Path) -> int:
    return int(bare_git(repository, "rev-list", "--count", LIVE_BRANCH))


def refs(repository: Path) -> str:
    """Every ref of a repository and the commit that it is at."""
    return bare_git(repository, "for-each-ref")
