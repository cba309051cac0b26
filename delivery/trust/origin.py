"""The far end of the chain: the data, the code and the spec that a version was made from, where they are at hand."""

import subprocess
from pathlib import Path

from delivery.documents.data_card import DataCard
from delivery.stores.sources import snapshot
from delivery.trust.audit_step import AuditStep, holds, not_checked
from training.errors import InputError, OstinatoError
from training.folder import model_folder
from training.spec import ModelSpec, parse_spec

DIRTY = "-dirty"
GIT_S = 20


def data_step(card: DataCard | None, spec: ModelSpec, root: Path) -> AuditStep:
    """Whether the source still has the content that was read. One that has grown since is no broken chain."""
    if card is None:
        return not_checked("data", "without a data card nobody knows where it was")
    if "://" in card.source:
        return not_checked("data", f"{card.source} is not on this machine; it was read as {card.snapshot}")
    try:
        current = snapshot(card.source, model_folder(root, spec.name), spec.data)
    except (InputError, OSError) as error:
        return not_checked("data", f"{card.source} is not at hand: {error}")
    if current != card.snapshot:
        return not_checked("data", f"{card.source} has other content than it had: now {current}, then {card.snapshot}")
    return holds("data", f"{card.source} is what was read")


def code_step(code_version: str, root: Path) -> AuditStep:
    """Whether the commit is in this checkout's git."""
    commit, dirty = code_version.removesuffix(DIRTY), code_version.endswith(DIRTY)
    if not commit or commit == "unknown":
        return not_checked("code", "the version was made outside git, from no commit")
    if _git(root, "rev-parse", "--git-dir") is None:
        return not_checked("code", f"{root} is no git checkout; it was commit {code_version}")
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return AuditStep("code", "broken", f"commit {commit} is not in the git repository of {root}")
    if dirty:
        return not_checked("code", f"commit {commit} is here, but files differed from it, and nobody has kept those")
    return holds("code", f"commit {commit} is in the git repository of {root}")


def spec_step(spec_digest: str, code_version: str, spec: ModelSpec, root: Path) -> AuditStep:
    """Whether the spec that was judged is the one of the commit, or the one at hand."""
    if spec.digest() == spec_digest:
        return holds("spec", f"spec.yaml at hand has {spec_digest}")
    path = f"training/{spec.name.replace('-', '_')}/spec.yaml"
    text = _git(root, "show", f"{code_version.removesuffix(DIRTY)}:./{path}") if code_version else None
    if text is None:
        return not_checked("spec", f"spec.yaml has changed since, and commit {code_version or 'none'} is not here")
    try:
        committed = parse_spec(text, f"{path} of commit {code_version}").digest()
    except OstinatoError as error:
        return not_checked("spec", f"this release can't read the spec of commit {code_version}: {error}")
    if committed == spec_digest:
        return holds("spec", f"{path} of commit {code_version} has {spec_digest}")
    return not_checked(
        "spec",
        f"{path} of commit {code_version} has {committed}, judged was {spec_digest}: parameters were given by hand, or "
        "files differed from the commit",
    )


def _git(root: Path, *arguments: str) -> str | None:
    """What git says in the checkout, None if it fails."""
    try:
        process = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=GIT_S)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return process.stdout if process.returncode == 0 else None
