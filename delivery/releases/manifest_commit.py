"""What a change of a model's manifests comes to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ManifestCommit:
    """A commit on the live branch, or one that waits for a reviewer."""

    model: str
    version: str
    branch: str
    """The live branch, or the branch that waits for a reviewer."""
    commit: str
    """The commit that makes the change if `changed`, else the branch's tip, which had it already."""
    changed: bool
    note: str = ""
    """What the caller should know besides, "" for nothing."""
    pull_request: str = ""
    """Address of the open one, "" without one."""
