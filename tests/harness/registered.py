"""A manifests repository and a registry side by side, and what tests do with them."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.candidates import bare_git, candidate, model_spec

from components.register.steps import register
from delivery.connections import Connections
from delivery.git.repository import ReleaseMode
from delivery.kserve.manifest import ServedVersion
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
        return self.git("add", path, write={path: content})

    def merge(self, branch: str) -> str:
        """Merge a branch as a forge would, and return the merge commit."""
        return self.git("merge", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}")

    def git(self, *arguments: str, write: Mapping[str, bytes] = MappingProxyType({})) -> str:
        """One git command of a person in a working copy; what it did is committed and pushed. Returns the commit."""
        with tempfile.TemporaryDirectory(dir=self.work) as copy:

            def git(*arguments: str) -> bytes:
                who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
                return subprocess.run(["git", "-C", copy, *who, *arguments], check=True, capture_output=True).stdout

            git("clone", "--quiet", str(self.manifests), copy)
            for path, content in write.items():
                Path(copy, path).write_bytes(content)
            git(*arguments)
            if git("diff", "--cached", "--name-only"):
                git("commit", "-m", " ".join(arguments))
            git("push", "--quiet", "origin", "HEAD:main")
        return bare_git(self.manifests, "rev-parse", "main")

    def move_during_a_push(self, commit: str) -> None:
        """Another writer moves the live branch to the commit while the next push is under way, once."""
        hook = self.manifests / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        move = f"env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main {commit}"
        hook.write_text(f"#!/bin/sh\n{move}\nrm $0\n")
        hook.chmod(0o755)


def served(version: str) -> ServedVersion:
    """A version to be rendered, with made-up facts and without a registry."""
    digest = f"sha256:{version * 64}"
    return ServedVersion(
        version, f"s3://models/1/models/m-{version}/artifacts", digest, digest, digest, "6b3f469", digest
    )
