"""Which serving runtimes fit a model: a table, the workspace's own entries over it, and the refusal of what can't fit.

The table is ``runtimes.yaml`` beside this file, and ``serving-runtimes.yaml`` beside ``training/`` of the workspace
for images of one's own. A spec that names a runtime that can't load the model is refused before anything runs.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from training.errors import InputError, did_you_mean
from training.section import Frozen
from training.serving_spec import ObjectName
from training.spec import ModelSpec

TABLE = Path(__file__).with_name("runtimes.yaml")
OWN_TABLE = "serving-runtimes.yaml"
"""In the workspace, beside ``training/``."""
HOW_TO_ADD = (
    f'an image of your own needs an entry in {OWN_TABLE} beside training/ (docs/serving.md, "Runtimes", shows one)'
)

Weights = Literal["skops", "onnx", "joblib", "cloudpickle", "safetensors"]
Same = Literal["major", "minor"]


class Start(Frozen):
    """How the runtime is started on this machine."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments, as KServe gives them, with places to fill in."""
    stand_in: tuple[str, ...] = ()
    """Started where the program of ``command`` is not on this machine."""
    ends_with_stdin: bool = False
    """Whether the program ends by itself when its standard input is closed; others are watched over."""
    environment: dict[str, str] = {}
    """Variables besides those of this process; values have the same places to fill in."""
    versions: tuple[str, ...] = ()
    """Installed distributions whose versions belong to the evidence, where the program is this Python."""


class Runtime(Frozen):
    """One serving runtime: what its image loads, and what must be equal for the answers to be."""

    about: str
    tasks: tuple[str, ...] = ("regression", "classification")
    formats: Annotated[dict[str, tuple[Weights, ...]], Field(min_length=1)]
    """KServe's name of each model format, and how its weights may be stored."""
    protocols: Annotated[tuple[Literal["v1", "v2"], ...], Field(min_length=1)]
    libraries: dict[str, str] = {}
    """Versions in the image."""
    needs: dict[str, Same] = {}
    """Libraries whose version in the image must be the one that trains, up to the major or the minor number."""
    loading_runs_code: bool
    """Whether a model file can make the server run code of its own."""
    start: Start | None = None
    """None where it can't be started here."""
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    """Where the statements come from: an address with its commit, or what was measured and when."""


def runtimes(root: Path | None) -> Mapping[str, Runtime]:
    """Every known runtime by name; the entries of the workspace ``root``, if there are any, replace the table's.

    Raises InputError that names file, entry, field and value if the workspace's file is wrong.
    """
    found = dict(_stock())
    own = root / OWN_TABLE if root is not None else None
    if own is not None and own.is_file():
        found |= _read(own)
    return found


def runtime_of(spec: ModelSpec, root: Path | None) -> Runtime:
    """The entry of the runtime that a spec names. Raises InputError if there is none."""
    return named(spec.serving.runtime, root)


def named(name: str, root: Path | None) -> Runtime:
    """The entry of a runtime. Raises InputError if there is none."""
    known = runtimes(root)
    if name not in known:
        raise InputError(f"serving.runtime: {name!r} is no known runtime. {did_you_mean(name, known)} Or: {HOW_TO_ADD}")
    return known[name]


def export_of(spec: ModelSpec, root: Path | None) -> str:
    """What train must write for the runtime besides the MLflow folder: ``onnx``, or nothing."""
    return "onnx" if "onnx" in runtime_of(spec, root).formats.get(spec.serving.model_format, ()) else ""


def check_runtime(spec: ModelSpec, root: Path | None) -> Runtime:
    """The runtime that the spec names, if it can load and serve what this environment trains.

    Raises InputError that names the field, its value, every reason with the versions, and the fix.
    """
    name, serving = spec.serving.runtime, spec.serving
    runtime = runtime_of(spec, root)
    if spec.task not in runtime.tasks:
        raise InputError(
            f"serving.runtime: {name} serves {' and '.join(runtime.tasks)}, and the task is {spec.task}; "
            f"language models come with task: generation, which is not there yet. {_fitting(spec, root)}"
        )
    if serving.model_format not in runtime.formats:
        raise InputError(
            f"serving.model_format: {name} does not load {serving.model_format!r}. "
            f"{did_you_mean(serving.model_format, runtime.formats)} {_fitting(spec, root)}"
        )
    if serving.protocol not in runtime.protocols:
        raise InputError(
            f"serving.protocol: {name} does not speak {serving.protocol}; write protocol: {runtime.protocols[0]}"
        )
    reasons = [*_weights(runtime, serving.model_format), *_versions(runtime)]
    if reasons:
        raise InputError(
            f"serving.runtime: {name} can't serve this model: {'; '.join(reasons)}. {_fitting(spec, root)}"
        )
    return runtime


def check_runtime_here(spec: ModelSpec, root: Path | None) -> str:
    """As :func:`check_runtime`, and that this environment can train for it: an export needs its libraries.

    Returns what is in order, in one line.
    """
    from components.train.onnx_export import check_installed

    check_runtime(spec, root)
    export = export_of(spec, root)
    if export:
        check_installed()
    name, serving = spec.serving.runtime, spec.serving
    return f"{name} loads {serving.model_format} and speaks {serving.protocol}" + (", by an export" if export else "")


def _weights(runtime: Runtime, model_format: str) -> list[str]:
    stored = runtime.formats[model_format]
    if {"skops", "onnx"} & set(stored):
        return []
    code = ", which can run code when they are loaded" if runtime.loading_runs_code else ""
    return [
        f"it loads {model_format} from {' or '.join(stored)} files only{code}, and train saves skops, whose loading "
        "runs none"
    ]


def _versions(runtime: Runtime) -> list[str]:
    """One reason for each library whose version differs from the installed one."""
    from importlib.metadata import version

    reasons = []
    for library, same in runtime.needs.items():
        theirs, ours = runtime.libraries.get(library, ""), version(library)
        digits = 1 if same == "major" else 2
        if theirs.split(".")[:digits] != ours.split(".")[:digits]:
            reasons.append(
                f"its image has {library} {theirs or 'of an unknown version'}, this environment trains with {ours}, "
                f"and the {same} versions must be equal"
            )
    return reasons


def _fitting(spec: ModelSpec, root: Path | None) -> str:
    """The fix: every runtime that would do."""
    fits = [
        f"runtime: {name} with model_format: {model_format}"
        for name, one in runtimes(root).items()
        for model_format in one.formats
        if spec.task in one.tasks and not _weights(one, model_format) and not _versions(one)
    ]
    return f"What fits: {', or '.join(fits) or 'none'}; {HOW_TO_ADD}"


@cache
def _stock() -> Mapping[str, Runtime]:
    return _read(TABLE)


def _read(path: Path) -> dict[str, Runtime]:
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    try:
        found = _ADAPTER.validate_python(raw or {})
    except ValidationError as error:
        lines = "\n".join(
            f"  {'.'.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in error.errors()
        )
        raise InputError(f"{path} has {error.error_count()} wrong field(s):\n{lines}") from error
    for name, runtime in found.items():
        if unknown := [library for library in runtime.needs if library not in TRAINED_WITH]:
            raise InputError(
                f"{path}: {name}.needs: {unknown[0]!r} is no library that a model is trained with. "
                f"{did_you_mean(unknown[0], TRAINED_WITH)}"
            )
    return found


TRAINED_WITH = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
"""Whose versions can decide whether a model loads elsewhere."""
_ADAPTER = TypeAdapter(dict[ObjectName, Runtime])
