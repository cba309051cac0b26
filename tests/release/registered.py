"""A manifests repository and a registry side by side, and what tests do with them."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from release.candidates import bare_git, candidate, model_spec

from components.register.steps import register
from delivery.connections import Connections
from delivery.git.repository import ReleaseMode
from delivery.releases.release import Release, release


@dataclass(frozen=True)
class Place:
    """Where releases of `bike-demand` happen."""

    tracking_uri: str
    manifests: Path
    remote: str
    work: Path

    @property
    def connections(self) -> Connections:
        return Connections(self.tracking_uri, self.remote)

    def register(self, weight: int) -> str:
        """Register the model with this weight, or find it; weights 1 to 3 are the versions of `place`."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        run = f"run-{weight}"
        return register(model_spec().canonical_json(), self.tracking_uri, "c0de", run, candidate(folder, weight))

    def release(self, version: str, mode: ReleaseMode = "direct") -> Release:
        return release(model_spec(), self.connections, version, mode)

    def commits(self) -> int:
        return int(bare_git(self.manifests, "rev-list", "--count", "main"))

    def commit(self, path: str, content: bytes) -> str:
        """Commit a file as a person with a working copy would."""
        return self._in_a_copy(path, content, "")

    def merge(self, branch: str) -> str:
        """Merge a branch as a forge would, and return the merge commit."""
        return self._in_a_copy("", b"", branch)

    def _in_a_copy(self, path: str, content: bytes, branch: str) -> str:
        with tempfile.TemporaryDirectory(dir=self.work) as copy:

            def git(*arguments: str) -> None:
                who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
                subprocess.run(["git", "-C", copy, *who, *arguments], check=True, capture_output=True)

            git("clone", "--quiet", str(self.manifests), copy)
            if branch:
                git("merge", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")
            else:
                Path(copy, path).write_bytes(content)
                git("commit", "-am", f"Edit {path}")
            git("push", "--quiet", "origin", "HEAD:main")
        return bare_git(self.manifests, "rev-parse", "main")
