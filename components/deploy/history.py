"""The history of the live branch: of one file, and of one model's releases."""

from components.deploy.repository import Repository

MODEL, VERSION = "Ostinato-Model", "Ostinato-Version"
"""Trailers of a release's commit."""


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
    found: dict[str, str] = {}
    for line in out:
        commit, model, version = line.split("\x1f")
        if model == name:
            found.setdefault(version, commit)
    return found
