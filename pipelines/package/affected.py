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
READ = ("components", "delivery", "pipelines", "training", "manifests", "serving-runtimes.yaml", "Dockerfile")
"""Of a commit; and the locks."""
PLACES = {
    "preprocess": ("components/preprocess/", "pipelines/continuous_training.py"),
    "train": ("components/train/", "components/stores/", "training/finetuning/"),
    "evaluate": (
        *("components/evaluate/", "components/serving/", "components/train/", "components/champion/"),
        *("components/stores/", "serving-runtimes.yaml"),
    ),
    "register": ("components/register/", "components/stores/", "components/trust/"),
    "deploy": ("components/deploy/",),
}
"""Where the files are that a step's fingerprint is made of, besides the model's own and what all share."""


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
    if not any(_is_read(path) for path in changed):
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
            raise InputError(f"{model} at {span.head[:12]}: {steps['error']}")
    return span, compare(before, after, changed)


def _is_read(path: str) -> bool:
    """Whether a file is unpacked: no other one can decide anything."""
    top = path.partition("/")[0]
    return top in READ or (path == top and path.endswith(".lock"))


def compare(
    before: dict[str, dict[str, str]] | str, after: dict[str, dict[str, str]], changed: list[str]
) -> list[Affected]:
    """What differs, sorted by model. before: why it is not known, where it is text: then all is affected."""
    found = []
    known = set(after) if isinstance(before, str) else {*after, *before}
    for model in sorted(known):
        paths = [path for path in changed if path.startswith(f"training/{model.replace('-', '_')}/")]
        if model not in after:
            found.append(Affected(model, REMOVED, tuple(paths)))
            continue
        old = {"error": before} if isinstance(before, str) else before.get(model, {})
        step = next((step for step in STEPS if old.get(step) != after[model].get(step)), None)
        if not old:
            found.append(Affected(model, STEPS[0], tuple(paths), "new"))
        elif "error" in old:
            found.append(Affected(model, STEPS[0], tuple(changed), f"not comparable: {old['error'].splitlines()[0]}"))
        elif step:
            found.append(Affected(model, step, tuple(path for path in changed if _decides(path, step, paths))))
    return found


def _decides(path: str, step: str, own: list[str]) -> bool:
    """Whether a changed file can have changed the step's fingerprint."""
    top = path.startswith(("training/", "components/")) and path.count("/") == 1
    contract = top or path.startswith(("training/spec/", "delivery/"))
    libraries = step == STEPS[0] and (path.endswith(".lock") or path == "Dockerfile")
    return path in own or contract or libraries or path.startswith(PLACES[step])


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
    """The files of a commit that decide anything. A model's README decides nothing, so it is left out."""
    tree = commit if not prefix or commit == EMPTY else f"{commit}:{prefix}"
    names = _git(root, "ls-tree", "--name-only", "--full-tree", tree).splitlines()
    wanted = [name for name in names if _is_read(name)]
    if not wanted:
        return
    top = _git(root, "rev-parse", "--show-toplevel").strip()
    with tarfile.open(fileobj=io.BytesIO(_git_bytes(Path(top), "archive", "--format=tar", tree, *wanted))) as archive:
        archive.extractall(folder, filter="data")
    for readme in folder.glob("training/*/**/README.md"):
        readme.unlink()


def _fingerprints(folder: Path) -> dict[str, dict[str, str]] | str:
    """By model, from the code of the folder, or the installed one where it has none; else why they can't be had."""
    if not (folder / "training").is_dir():
        return {}
    program = Path(__file__).with_name("fingerprints.py")
    kept = {name: value for name, value in os.environ.items() if name != "OSTINATO_WORKSPACE"}
    done = subprocess.run(
        [sys.executable, "-P", str(program), str(folder)],
        env={**kept, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [kept.get("PYTHONPATH")])])},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if done.returncode:
        return (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    return json.loads(done.stdout)


def _git(root: Path, *arguments: str) -> str:
    return _git_bytes(root, *arguments).decode()


def _git_bytes(root: Path, *arguments: str) -> bytes:
    """Raises OstinatoError with what git said."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-C", str(root), *arguments],
            env=environment(),
            capture_output=True,
            timeout=LIMIT_S,
        )
    except FileNotFoundError as error:
        raise OstinatoError("git is not installed or not on PATH; install it") from error
    if done.returncode:
        raise OstinatoError(f"git {arguments[0]} in {root}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
