"""`ostinato affected`: which models a change of this repository retrains.

By the paths that decide a step's cache key (`pipelines/package.py`), and by what a spec says rather than how it is
written: a comment, the order of keys, or a part that another command applies retrains nothing.
"""

import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.errors import InputError
from training.spec import ModelSpec, parse_spec

Paths = Iterable[str]
_RANGE = re.compile(r"([^.\s-][^\s]*?)(\.{2,3})([^.\s-][^\s]*)")
_CODE = (".py", ".j2", ".md")
"""Endings of what counts as code: prompts of a language model are Markdown."""
_SHARED = (
    *("components/preprocess/", "components/train/", "components/champion/", "components/evaluate/"),
    *("components/serving/", "components/stores/", "components/evidence.py", "training/finetuning/"),
    *("pipelines/continuous_training.py", "requirements.lock"),
)
"""What decides what is trained or what is said of it, for every model; one ending in / is a folder. Register and deploy
are not there: they hand over what was judged, and never decide what that is."""
_OF_LANGUAGE_MODELS = ("training/finetuning/", "components/stores/", "requirements-llm.lock")
"""Of these only `task: generation` takes note, also of the last, which is not in the list above."""
_APPLIED_OTHERWISE = {"schedule", "steps", "drift_watch"}
"""Parts of a spec that say when and how big: `ostinato schedule apply` and the next run bring them into force."""


@dataclass(frozen=True)
class Affected:
    """A model that a change touches."""

    model: str
    because: tuple[str, ...]
    """Paths that changed; of the spec the parts."""
    removed: bool = False
    """There is no such model any more: nothing to train, and what is live stays until somebody takes it away."""


def affected_models(root: Path, commits: str) -> list[Affected]:
    """The models that the change from BASE to HEAD retrains, sorted by name.

    commits: ``BASE..HEAD``, or ``BASE...HEAD`` to begin at what they have in common, as a pull request does. Raises
    InputError for commits that are not there, and for a spec at HEAD that is wrong.
    """
    base, head = _commits(root, commits)
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", base, head).split("\0")[:-1]
    before, after = _specs(root, base), _specs(root, head)
    found = [Affected(name, (f"{_folder(name)}/",), removed=True) for name in set(before) - set(after)]
    for name, text in after.items():
        spec = parse_spec(text, f"{_folder(name)}/spec.yaml of {head[:12]}")
        if because := _reasons(spec, before.get(name), changed):
            found.append(Affected(name, because))
    return sorted(found, key=lambda one: one.model)


def _reasons(spec: ModelSpec, before: str | None, changed: Paths) -> tuple[str, ...]:
    folder = _folder(spec.name)
    reasons = [path for path in changed if _shared(path, spec) or _own(path, folder, spec)]
    if f"{folder}/spec.yaml" in changed:
        reasons += [f"{folder}/spec.yaml: {part}" for part in _changed_parts(spec, before)]
    return tuple(reasons)


def _shared(path: str, spec: ModelSpec) -> bool:
    talks = spec.task == "generation"
    if _under(path, _OF_LANGUAGE_MODELS):
        return talks
    if not (_is_code(path) or path in _SHARED or path.endswith((".yaml", ".lock"))):
        return False
    parts = PurePosixPath(path).parts
    return _under(path, _SHARED) or (len(parts) == 2 and parts[0] == "training" and path.endswith(".py"))


def _own(path: str, folder: str, spec: ModelSpec) -> bool:
    """Whether it is the model's own code, or data that its spec names; the spec itself is compared by content."""
    if not path.startswith(f"{folder}/") or path == f"{folder}/spec.yaml":
        return False
    return _is_code(path) or any(_within(path, f"{folder}/{place}") for place in _named_files(spec))


def _named_files(spec: ModelSpec) -> list[str]:
    """Relative paths in the model's folder that the spec names: the source, a fixed test set, labels, local models."""
    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                look(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                look(inner)
        elif isinstance(value, str) and "/" in value and "://" not in value and not value.startswith("/"):
            found.append(value)

    for section in (spec.data, spec.training, spec.quality):
        look(section.model_dump(mode="json"))
    return found


def _within(path: str, place: str) -> bool:
    """Whether the path is the place, in it, or one that it matches as a glob."""
    return path == place or path.startswith(place.rstrip("/") + "/") or PurePosixPath(path).match(place)


def _changed_parts(spec: ModelSpec, before: str | None) -> list[str]:
    if before is None:
        return ["new"]
    try:
        old = parse_spec(before, "spec.yaml").model_dump(mode="json")
    except InputError:
        return ["was wrong before"]
    new = spec.model_dump(mode="json")
    return [part for part in new if new[part] != old.get(part) and part not in _APPLIED_OTHERWISE]


def _is_code(path: str) -> bool:
    return path.endswith(_CODE)


def _under(path: str, places: Paths) -> bool:
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)


def _folder(name: str) -> str:
    return f"training/{name.replace('-', '_')}"


def _specs(root: Path, commit: str) -> dict[str, str]:
    """Text of every model's spec at a commit, by the model's name."""
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", "training").split("\0")
    paths = [path for path in listed if re.fullmatch(r"training/[^/]+/spec\.yaml", path)]
    return {path.split("/")[1].replace("_", "-"): _git(root, "show", f"{commit}:{path}") for path in paths}


def _commits(root: Path, commits: str) -> tuple[str, str]:
    match = _RANGE.fullmatch(commits)
    if not match:
        raise InputError(f"{commits!r} is no change; write BASE..HEAD, such as HEAD~1..HEAD or origin/main...HEAD")
    base, dots, head = match.groups()
    ends = _commit(root, base), _commit(root, head)
    if dots == "..":
        return ends
    common = _git(root, "merge-base", *ends, otherwise=lambda said: _apart(root, commits)).strip()
    return common, ends[1]


def _commit(root: Path, name: str) -> str:
    def unknown(said: str) -> InputError:
        if "not a git repository" in said:
            return InputError(f"{root} is no git repository, so that nothing says what changed")
        return InputError(f"{name!r} is no commit of {root}{_shallow(root)}")

    return _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", otherwise=unknown).strip()


def _apart(root: Path, commits: str) -> InputError:
    return InputError(f"the two ends of {commits} have nothing in common{_shallow(root)}")


def _shallow(root: Path) -> str:
    if _git(root, "rev-parse", "--is-shallow-repository").strip() != "true":
        return ""
    return ", which has a part of the history only; bring the rest with: git fetch --unshallow"


def _git(root: Path, *arguments: str, otherwise: Callable[[str], InputError] | None = None) -> str:
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", "-C", str(root), *arguments],
        capture_output=True, text=True, errors="surrogateescape", timeout=60,
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    raise otherwise(done.stderr) if otherwise else InputError(f"git {arguments[0]}: {done.stderr.strip()}")
