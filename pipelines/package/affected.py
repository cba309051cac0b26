"""`ostinato affected`: which models a range of commits changes, from which step on, and by which files.

Both commits are unpacked, and each tells by its own code what decides each step
(pipelines/package/fingerprints.py). So a text, a comment in a CI file or a model's README changes nothing, and a
changed bound judges again without training again.
"""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from delivery.git.run import environment
from pipelines.step_names import STEPS
from training.errors import InputError, OstinatoError

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's name of the tree without files; CI systems write zeros for the commit before the first."""
REMOVED = "removed"
LIMIT_S = 300.0


Steps = dict[str, dict[str, str]]
"""Of a model, by step: digests by file name; or only `error`: by the reason why they can't be had."""
Models = dict[str, Steps]


@dataclass(frozen=True)
class Affected:
    model: str
    step: str
    """The first step that gives something else now; `removed` for a model that is gone."""
    paths: tuple[str, ...]
    """The changed files that can have done it."""
    note: str = ""

    @property
    def retrain(self) -> bool:
        """Whether other weights may come of it."""
        return self.step in ("preprocess", "train")


@dataclass(frozen=True)
class Range:
    base: str
    """Commit, or the empty tree."""
    head: str
    dirty: bool
    """Whether files differ from HEAD, where HEAD is the end: they are not looked at."""


def affected(root: Path, given: str) -> tuple[Range, list[Affected]]:
    """What the range ``BASE..HEAD`` changes, by model; ``BASE...HEAD`` is from where the two parted.

    Raises InputError for what is no range, for a commit that is unknown or was not fetched, and for a model whose spec
    is wrong at its end.
    """
    prefix = _git(root, "rev-parse", "--show-prefix").strip()
    span = resolve(root, given)
    names = _git(root, "diff", "--name-only", "--no-renames", "--relative", span.base, span.head, "--", ".")
    changed = names.splitlines()
    if not changed:
        return span, []
    with tempfile.TemporaryDirectory(prefix="ostinato-affected-") as name:
        folders = [Path(name) / "base", Path(name) / "head"]
        for folder, commit in zip(folders, (span.base, span.head), strict=True):
            folder.mkdir()
            _unpack(root, commit, prefix, folder)
        with ThreadPoolExecutor(2) as pool:
            before, after = pool.map(_fingerprints, folders)
    if isinstance(after, str):
        raise OstinatoError(f"the code at {span.head[:12]} can't tell what decides its steps: {after}")
    for model, steps in after.items():
        if "error" in steps:
            raise InputError(f"{model} at {span.head[:12]}: {''.join(steps['error'])}")
    return span, compare(before, after, changed)


def compare(before: Models | str, after: Models, changed: list[str]) -> list[Affected]:
    """What differs, sorted by model. before: why it is not known, where it is text: then all is affected."""
    models = set(after) if isinstance(before, str) else {*after, *before}
    unknown: Steps | None = {"error": {before: ""}} if isinstance(before, str) else None
    old = {} if isinstance(before, str) else before
    differences = (_compare(model, unknown or old.get(model), after.get(model), changed) for model in sorted(models))
    return [affect for affect in differences if affect]


def _compare(model: str, old: Steps | None, new: Steps | None, changed: list[str]) -> Affected | None:
    """How a model differs; None where it does not."""
    own = tuple(path for path in changed if path.startswith(f"training/{model.replace('-', '_')}/"))
    if new is None:
        return Affected(model, REMOVED, own)
    if old is None:
        return Affected(model, STEPS[0], own, "new")
    if "error" in old:
        (reason,) = old["error"]
        return Affected(model, STEPS[0], tuple(changed), f"not comparable: {reason.splitlines()[0]}")
    for step in STEPS:
        names = {name for name, _ in dict(old[step]).items() ^ dict(new[step]).items()}
        if names:
            # What is known as a folder, such as a base model, is changed by its files.
            return Affected(
                model, step, tuple(path for path in changed if names & {path, *map(str, Path(path).parents)})
            )
    return None


def resolve(root: Path, given: str) -> Range:
    """The two commits of ``BASE..HEAD`` or ``BASE...HEAD``; an end that is left out is HEAD. Raises InputError."""
    match = re.fullmatch(r"([^.\s-][^\s]*?)(\.{2,3})([^.\s-][^\s]*)?", given)
    if not match:
        raise InputError(f"range {given!r} is not BASE..HEAD, such as origin/main..HEAD")
    end = match[3] or "HEAD"
    head = _commit(root, end, given)
    if set(match[1]) == {"0"} or match[1] == EMPTY:
        base = EMPTY
    else:
        base = _commit(root, match[1], given)
        if match[2] == "...":
            base = _parted(root, base, head, given)
    dirty = head == _git(root, "rev-parse", "HEAD").strip() and bool(
        _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".").strip()
    )
    return Range(base, head, dirty)


def _commit(root: Path, name: str, given: str) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except OstinatoError:
        if _shallow(root):
            raise InputError(f"{name} of {given} is not in this shallow clone; first: git fetch --unshallow") from None
        first = " (the first commit has none before it: write 0..HEAD)" if name.endswith(("^", "^1", "~", "~1")) else ""
        raise InputError(f"{name} of {given} names no commit here{first}; fetch it, or mend the name") from None


def _parted(root: Path, base: str, head: str, given: str) -> str:
    try:
        return _git(root, "merge-base", base, head).strip()
    except OstinatoError:
        if _shallow(root):
            raise InputError(
                f"this shallow clone does not reach where {given} parted; first: git fetch --unshallow"
            ) from None
        raise InputError(f"{given}: the two have no commit in common; write BASE..HEAD with two dots") from None


def _shallow(root: Path) -> bool:
    return _git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def _unpack(root: Path, commit: str, prefix: str, folder: Path) -> None:
    """The files of a commit that can decide anything: at the top, and in the folders with code and with models."""
    tree = commit if not prefix or commit == EMPTY else f"{commit}:{prefix}"
    names = _git(root, "ls-tree", "-r", "--name-only", "--full-tree", tree).splitlines()
    tops = {name.partition("/")[0] for name in names if "/" not in name or name.endswith((".py", "/spec.yaml"))}
    if not tops:
        return
    top = _git(root, "rev-parse", "--show-toplevel").strip()
    with tarfile.open(
        fileobj=io.BytesIO(_git_bytes(Path(top), "archive", "--format=tar", tree, *sorted(tops)))
    ) as archive:
        archive.extractall(folder, filter="data")


def _fingerprints(folder: Path) -> Models | str:
    """By model, from the code of the folder, or the installed one where it has none; else why they can't be had."""
    if not (folder / "training").is_dir():
        return {}
    program = Path(__file__).with_name("fingerprints.py")
    kept = {name: value for name, value in os.environ.items() if name != "OSTINATO_WORKSPACE"}
    process = subprocess.run(
        [sys.executable, "-P", str(program), str(folder)],
        env={**kept, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [kept.get("PYTHONPATH")])])},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if process.returncode:
        return (process.stderr.strip() or f"exit code {process.returncode}").splitlines()[-1]
    return json.loads(process.stdout)


def _git(root: Path, *arguments: str) -> str:
    return _git_bytes(root, *arguments).decode()


def _git_bytes(root: Path, *arguments: str) -> bytes:
    """Raises OstinatoError with what git said."""
    try:
        process = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-C", str(root), *arguments],
            env=environment(),
            capture_output=True,
            timeout=LIMIT_S,
        )
    except FileNotFoundError as error:
        raise OstinatoError("git is not installed or not on PATH; install it") from error
    if process.returncode:
        raise OstinatoError(f"git {arguments[0]} in {root}: {process.stderr.decode(errors='replace').strip()}")
    return process.stdout
