"""What a step leaves behind: parameters, and artifacts identified by their content."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Artifact:
    """An output artifact. Later steps and later runs read it where it is: treat it as read-only."""

    name: str
    type: Mapping[str, str]
    """KFP's type: schemaTitle, schemaVersion."""
    uri: str
    metadata: Mapping[str, Any]
    digest: str
    """``sha256:`` over the content, or over the URI where the content is not on this machine."""
    kind: Literal["file", "folder", "nothing", "remote"]
    files: Mapping[str, tuple[int, int]]
    """Size in bytes and mtime in nanoseconds, by relative path ("" for a single file)."""

    @classmethod
    def of(cls, name: str, type: Mapping[str, str], uri: str, metadata: Mapping[str, Any]) -> Self:
        """Look at the content: every file is read once."""
        if "://" in uri:
            return cls(name, type, uri, metadata, "sha256:" + hashlib.sha256(uri.encode()).hexdigest(), "remote", {})
        root = Path(uri)
        kind = "folder" if root.is_dir() else "file" if root.is_file() else "nothing"
        paths = [root] if kind == "file" else sorted(path for path in root.rglob("*") if path.is_file())
        tree, files = hashlib.sha256(kind.encode()), {}
        for path in paths:
            relative = "" if path == root else path.relative_to(root).as_posix()
            files[relative] = _stat(path)
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            tree.update(f"\0{relative}\0{content}".encode())
        return cls(name, type, uri, metadata, "sha256:" + tree.hexdigest(), kind, files)

    @property
    def path(self) -> Path:
        """Where the content is: a file or a folder."""
        return Path(self.uri)

    def damage(self) -> str:
        """Why the content is not what was recorded, by presence, size and mtime of each file; empty if it is."""
        if self.kind == "folder" and not self.path.is_dir():
            return f"{self.path} is gone"
        for relative, recorded in self.files.items():
            path = self.path / relative
            try:
                actual = _stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return f"{path} is gone"
            if actual != tuple(recorded):
                return f"{path} was changed"
        return ""


@dataclass(frozen=True)
class Outputs:
    """All outputs of a step."""

    parameters: Mapping[str, Any]
    artifacts: Mapping[str, Artifact]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(raw["parameters"], {name: Artifact(**fields) for name, fields in raw["artifacts"].items()})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def damage(self) -> str:
        """Why an artifact is not what was recorded; empty if all are."""
        return next((actual for artifact in self.artifacts.values() if (actual := artifact.damage())), "")


def artifact_list(name: str, type: Mapping[str, str], uri: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """KFP's ArtifactList of one RuntimeArtifact."""
    return {"artifacts": [{"name": name, "type": dict(type), "uri": uri, "metadata": dict(metadata)}]}


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
