"""The table of serving runtimes: what each one's image loads, and how it is started on this machine.

It is ``runtimes.yaml`` beside this file, and ``serving-runtimes.yaml`` beside ``training/`` of the workspace for images
of one's own.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from training.errors import InputError, did_you_mean
from training.spec.kubernetes_rules import FormatName, ObjectName
from training.spec.section import Frozen
from training.spec.tasks import TASKS

TABLE = Path(__file__).with_name("runtimes.yaml")
OWN_TABLE = "serving-runtimes.yaml"
"""In the workspace, beside ``training/``."""
HOW_TO_ADD = (
    f"an image of your own needs an entry in {OWN_TABLE} beside training/ "
    '(docs/how-to/serving.md, "Runtimes", shows one)'
)

Weights = Literal["skops", "onnx", "joblib", "cloudpickle", "safetensors"]
Same = Literal["major", "minor"]
Argument = str | tuple[str, ...]
"""One argument, or several that are left out together; left out where a place has no value."""
Fault = Literal["plain_errors", "length_at_the_end"]


class Start(Frozen):
    """How the runtime is started on this machine."""

    command: Annotated[tuple[Argument, ...], Field(min_length=1)]
    """Program and arguments, as KServe gives them, with places to fill in."""
    stand_in: tuple[Argument, ...] = ()
    """Started where the program of ``command`` is not on this machine."""
    python_variable: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*)?$")] = ""
    """Environment variable that names the Python of an environment of its own: ``{own_python}``."""
    python_beside: str = ""
    """A program on PATH beside which that Python is, where the variable is not set."""
    ends_with_stdin: bool = False
    """Whether the program ends by itself when its standard input is closed; others are watched over."""
    environment: dict[str, str] = {}
    """Variables besides those of this process; values have the same places to fill in."""
    versions: tuple[str, ...] = ()
    """Installed distributions whose versions belong to the evidence, where the program is this Python."""
    ready: str = "/v2/models/{model_name}/ready"
    """Path that answers 200 when the model is loaded."""
    version: str = "/v2"
    """Path of the server's name and version."""
    within_s: Annotated[float, Field(gt=0)] = 60
    """How long it may take until it answers its first inference."""


class Runtime(Frozen):
    """One serving runtime: what its image loads, and what must be equal for the answers to be."""

    about: str
    tasks: tuple[str, ...] = tuple(task for task, row in TASKS.items() if not row.is_language_model)
    formats: Annotated[dict[FormatName, tuple[Weights, ...]], Field(min_length=1)]
    """KServe's name of each model format, and how its weights may be stored."""
    protocols: Annotated[tuple[Literal["v1", "v2", "openai"], ...], Field(min_length=1)]
    openai_path: str = ""
    """Where the OpenAI routes begin, such as ``openai/v1``."""
    faults: tuple[Fault, ...] = ()
    """Known departures from OpenAI's protocol, which the proof lets pass: errors that are no objects of OpenAI's;
    ``finish_reason: length`` where an answer ended by itself."""
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
    table = dict(_stock())
    own = root / OWN_TABLE if root is not None else None
    if own is not None and own.is_file():
        table |= _read(own)
    return table


def named(name: str, root: Path | None) -> Runtime:
    """The entry of a runtime. Raises InputError if there is none."""
    known = runtimes(root)
    if name not in known:
        raise InputError(f"serving.runtime: {name!r} is no known runtime. {did_you_mean(name, known)} Or: {HOW_TO_ADD}")
    return known[name]


@cache
def _stock() -> Mapping[str, Runtime]:
    return _read(TABLE)


def _read(path: Path) -> dict[str, Runtime]:
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    try:
        table = _ADAPTER.validate_python(raw or {})
    except ValidationError as error:
        lines = "\n".join(
            f"  {'.'.join(map(str, wrong['loc']))}: {wrong['msg']} (got {wrong['input']!r})" for wrong in error.errors()
        )
        raise InputError(f"{path} has {error.error_count()} wrong field(s):\n{lines}") from error
    for name, runtime in table.items():
        if unknown := [library for library in runtime.needs if library not in TRAINED_WITH]:
            raise InputError(
                f"{path}: {name}.needs: {unknown[0]!r} is no library that a model is trained with. "
                f"{did_you_mean(unknown[0], TRAINED_WITH)}"
            )
    return table


TRAINED_WITH = (
    *("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"),
    *("peft", "safetensors", "tokenizers", "torch", "transformers"),
)
"""Whose versions can decide whether a model loads elsewhere."""
_ADAPTER = TypeAdapter(dict[ObjectName, Runtime])
