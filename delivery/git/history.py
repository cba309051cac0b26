"""The history of the live branch: of one file, and of one model's releases."""

from datetime import UTC, datetime

from delivery.git.repository import LIVE_BRANCH, Repository, Snapshot

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


def release_commits(repository: Repository, tip: str, name: str) -> dict[str, str]:
    """The last commit that released or brought back each version of a model, by version, from its trailers.

    Every commit of the history must be here; folders and contents need not.
    """
    trailers = "%x1f".join(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in (MODEL, VERSION))
    out = repository.git("log", f"--format=%H%x1f{trailers}", tip).decode().splitlines()
    commits: dict[str, str] = {}
    for line in out:
        commit, model, version = line.split("\x1f")
        if model == name:
            commits.setdefault(version, commit)
    return commits


def retired_models(repository: Repository, tip: str) -> dict[str, str]:
    """The registered model of each model that a commit took out, by the model's name; it may be back since.

    Every commit of the history must be here; folders and contents need not.
    """
    trailers = "%x1f".join(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in (MODEL, RETIRED))
    out = repository.git("log", f"--format={trailers}", tip).decode().splitlines()
    pairs = (line.split("\x1f") for line in reversed(out))
    return {model: registered_model for model, registered_model in pairs if model and registered_model}


def is_merged(repository: Repository, main: str, branch: str, path: str) -> bool:
    """Whether the branch's file has come to the live branch since the branch left it; both need history here."""
    blob = blob_of(repository, branch, path)
    if not blob or not repository.git("rev-list", "--max-count=1", f"{main}..{branch}").strip():
        return True
    return any(new == blob for _, _, new in file_history(repository, f"{branch}..{main}", path))


def is_proposed(repository: Repository, tips: dict[str, str], branch: str, path: str, content: bytes) -> bool:
    """Whether the branch waits for a reviewer with this content of the file; tips: commits by branch, with history."""
    tip = tips.get(branch, "")
    same = bool(tip) and Snapshot(repository, tip).read(path).get(path) == content
    return same and not is_merged(repository, tips[LIVE_BRANCH], tip, path)


def first_releases(repository: Repository, tip: str, name: str) -> dict[str, datetime]:
    """When each version of a model first came to the live branch, as itself or as a canary, by version.

    A proposal counts from when it was merged. Every commit of the history must be here; folders and contents need not.
    """
    trailers = "%x1f".join(f"%(trailers:key={key},valueonly,separator=%x2C)" for key in (MODEL, VERSION))
    shape = f"--format=%H%x1f%ct%x1f%P%x1f{trailers}"
    commits = [line.split("\x1f") for line in repository.git("log", shape, tip).decode().splitlines()]
    facts = {commit: (model, version) for commit, _, _, model, version in commits}
    parents = {commit: names.split() for commit, _, names, _, _ in commits}
    times = {commit: int(seconds) for commit, seconds, _, _, _ in commits}
    releases: dict[str, datetime] = {}
    on_branch = tip
    while on_branch:
        merged = parents[on_branch][1:]
        for commit in (on_branch, *merged):
            model, version = facts[commit]
            if model == name and version:
                releases[version] = datetime.fromtimestamp(times[on_branch], UTC)
        on_branch = parents[on_branch][0] if parents[on_branch] else ""
    return releases
