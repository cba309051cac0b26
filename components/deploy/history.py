"""The history of one file on the live branch."""

from components.deploy.repository import Repository


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
