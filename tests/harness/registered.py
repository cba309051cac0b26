"""A manifests repository and a registry side by side: every registered version of a test is made here."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from harness.candidates import bare_git, candidate, language_candidate, model_spec

from components.deploy.steps import deploy
from components.register.steps import Candidate, register
from delivery.connections import Connections
from delivery.git.repository import ReleaseMode
from delivery.kserve.manifest import ServedVersion
from delivery.registry.mlflow import mlflow_client
from delivery.releases.release import Release, release
from training.spec import ModelSpec

CODE = "c0de"


@dataclass(frozen=True)
class Place:
    """Where versions of a model are registered and released, `bike-demand` unless its spec is another."""

    tracking_uri: str
    manifests: Path
    remote: str
    work: Path
    spec: ModelSpec = field(default_factory=model_spec)

    @property
    def connections(self) -> Connections:
        return Connections(self.tracking_uri, self.remote)

    def register(self, weight: int, files: Candidate | None = None, code: str = CODE) -> str:
        """The version of the candidate, made or found; weights 1 to 3 are the versions of the fixture `place`."""
        if files is None:
            make = language_candidate if self.spec.task == "generation" else candidate
            files = make(Path(tempfile.mkdtemp(dir=self.work)), weight)
        return register(self.spec.canonical_json(), self.tracking_uri, code, f"run-{weight}", files)

    def run(self, weight: int, files: Candidate, mode: ReleaseMode = "direct") -> None:
        """What the pipeline does with a candidate that passed its checks: register, then deploy."""
        register_and_deploy(self.spec, self.connections, files, f"run-{weight}", mode)

    def register_copy(self, version: str) -> None:
        """Another version of the same run, as a late answer of a server leaves it."""
        client = mlflow_client(self.tracking_uri)
        original = client.get_model_version(self.spec.name, version)
        client.create_model_version(self.spec.name, original.source or "", original.run_id, tags=dict(original.tags))

    def release(self, version: str, mode: ReleaseMode = "direct", spec: ModelSpec | None = None) -> Release:
        return release(spec or self.spec, self.connections, version, mode)

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


def register_and_deploy(
    spec: ModelSpec, connections: Connections, files: Candidate, run: str, mode: ReleaseMode
) -> None:
    text = spec.canonical_json()
    version = register(text, connections.tracking_uri, CODE, run, files)
    deploy(text, connections, version, mode, CODE, run, files.verdict)


def served(version: str) -> ServedVersion:
    """A version to be rendered, with made-up facts and without a registry."""
    digest = f"sha256:{version * 64}"
    return ServedVersion(
        version, f"s3://models/1/models/m-{version}/artifacts", digest, digest, digest, "6b3f469", digest
    )
