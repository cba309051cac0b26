"""A model's manifest in a commit of the manifests repository."""

from delivery.git.repository import Snapshot
from delivery.kserve.manifest import Manifest, manifest_path
from delivery.kserve.parse import parse


def manifest_at(snapshot: Snapshot, name: str, path: str = "") -> Manifest | None:
    """What the released manifest says, or the one at ``path``; None without one. Raises InputError for a broken one."""
    path = path or manifest_path(name)
    content = snapshot.read(path).get(path)
    return parse(content, name, snapshot.commit) if content is not None else None
