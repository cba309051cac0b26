"""How a remote is reached: nothing for a path, credentials for HTTPS, the SSH command for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from delivery.git.credentials import https_access
from delivery.git.run import git, local_path
from delivery.git.ssh import ssh_environment


@dataclass(frozen=True)
class GitAccess:
    """What git is given for one remote."""

    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold a token."""


NOTHING = GitAccess()


def access(remote: str, git_dir: Path) -> GitAccess:
    """What git needs to reach the remote. Raises InputError or OstinatoError for credentials that can't be used."""
    if local_path(remote) is not None:
        return NOTHING
    if remote.lower().startswith(("http://", "https://")):
        options, environment = https_access(remote)
        return GitAccess(tuple(options), environment)

    def configured() -> str:
        return git(git_dir, "config", "--default", "", "--get", "core.sshCommand", remote=remote).decode().strip()

    return GitAccess(environment=ssh_environment(configured))
