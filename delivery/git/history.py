"""The history of the live branch: of one file, and of one model's releases."""

from collections.abc import Mapping
from datetime import UTC, datetime

from delivery.git.repository import Repository, Snapshot

MODEL, VERSION = "Ostinato-Model", "Ostinato-Version"
"""Trailers of a release's commit."""
RETIRED = "Ostinato-Retired"
"""Trailer of the commit that takes a model out: its registered model."""


def blob_of(repository: Repository, commit: str, path: str) -> str:
    """Object name of a file in a commit, "" if it is not there."""
    listed = repository.git("ls-tree", "--full-tree", commit, "--", path).decode().split()
    return listed[2] if listed else ""


def file_history(repository: Repository, commits: str, path: str) -> list[tuple[str, str, str]]:
    """(commit, old object, new object) of each change of a file along the live branch, oldest first; absent is 0…"""
    shape = (
        "--first-parent",
        "--diff-merges=first-parent",
        "--reverse",
        "--format=%H",
        "--raw",
        "--no-abbrev",
        "--no-renames",
    )
    out = repository.git("log", *shape, commits, "--", path).decode().split("\n")
    history, commit = [], ""
    for line in out:
        if line.startswith(":"):
            _, _, old, new, _ = line.split("\t")[0].split()
            history.append((commit, old, new))
        elif line:
            commit = line
    return history


def _commits(repository: Repository, tip: str, facts: str, *keys: str) -> list[list[str]]:
    """The facts (git's placeholders with ``%x1f`` after each) and the trailers of every commit, newest first.

    Every commit of the history must be here; folders and contents need not.
    """
    trailers = "%x1f".join(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in keys)
    out = repository.git("log", f"--format={facts}{trailers}", tip)
    return [line.split("\x1f") for line in out.decode().splitlines()]


def release_commits(snapshot: Snapshot, name: str) -> dict[str, str]:
    """The last commit that released or brought back each version of a model, by version, from its trailers.

    Every commit of the history must be here; folders and contents need not.
    """
    commits: dict[str, str] = {}
    for commit, model, version in _commits(snapshot.repository, snapshot.commit, "%H%x1f", MODEL, VERSION):
        if model == name:
            commits.setdefault(version, commit)
    return commits


def retired_models(snapshot: Snapshot) -> dict[str, str]:
    """The registered model of each model that a commit took out, by the model's name; it may be back since.

    Every commit of the history must be here; folders and contents need not.
    """
    pairs = reversed(_commits(snapshot.repository, snapshot.commit, "", MODEL, RETIRED))
    return {model: registered_model for model, registered_model in pairs if model and registered_model}


def is_merged(snapshot: Snapshot, tip: str, path: str) -> bool:
    """Whether a branch's file, or that it is gone, has come to the live branch since the branch left it; both need
    history here."""
    repository, main = snapshot.repository, snapshot.commit
    if not repository.git("rev-list", "--max-count=1", f"{main}..{tip}").strip():
        return True
    blob = blob_of(repository, tip, path)
    return any(new.strip("0") == blob.strip("0") for _, _, new in file_history(repository, f"{tip}..{main}", path))


def is_proposed(snapshot: Snapshot, tip: str, path: str, files: Mapping[str, bytes | None]) -> bool:
    """Whether a branch waits for a reviewer with the file at ``path`` as ``files`` has it. snapshot: of the live
    branch, with history. One that takes the file away has to take away what is there now, and the others as well."""
    repository, content = snapshot.repository, files[path]
    removed = [file for file, new in files.items() if new is None]
    proposed = Snapshot(repository, tip)
    if proposed.read(path).get(path) != content or proposed.paths(*removed):
        return False
    if content is None and blob_of(repository, f"{tip}^", path) != blob_of(repository, snapshot.commit, path):
        return False
    return not is_merged(snapshot, tip, path)


def first_releases(snapshot: Snapshot, name: str) -> dict[str, datetime]:
    """When each version of a model first came to the live branch, as itself or as a canary, by version.

    A proposal counts from when it was merged. Every commit of the history must be here; folders and contents need not.
    """
    commits = _commits(snapshot.repository, snapshot.commit, "%H%x1f%ct%x1f%P%x1f", MODEL, VERSION)
    facts = {commit: (model, version) for commit, _, _, model, version in commits}
    parents = {commit: names.split() for commit, _, names, _, _ in commits}
    times = {commit: int(seconds) for commit, seconds, _, _, _ in commits}
    releases: dict[str, datetime] = {}
    on_branch = snapshot.commit
    while on_branch:
        merged = parents[on_branch][1:]
        for commit in (on_branch, *merged):
            model, version = facts[commit]
            if model == name and version:
                releases[version] = datetime.fromtimestamp(times[on_branch], UTC)
        on_branch = parents[on_branch][0] if parents[on_branch] else ""
    return releases
