"""Which serving runtimes fit a model, by :mod:`delivery.serving.runtime_table`, and the refusal of what can't fit.

A spec that names a runtime that can't load the model is refused before anything runs.
"""

from pathlib import Path

from delivery.serving.runtime_table import HOW_TO_ADD, Runtime, Weights, named, runtimes
from training.errors import InputError, did_you_mean
from training.spec import TASKS, Answers, ModelSpec, Task


def runtime_of(spec: ModelSpec, root: Path | None) -> Runtime:
    """The entry of the runtime that a spec names. Raises InputError if there is none."""
    return named(spec.serving.runtime, root)


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
            f"serving.runtime: {name} serves {' and '.join(runtime.tasks)}, and the task is {spec.task}. "
            f"{_fitting(spec, root)}"
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
    reasons = [*_weights(runtime, serving.model_format, spec.task), *_versions(runtime)]
    if reasons:
        raise InputError(
            f"serving.runtime: {name} can't serve this model: {'; '.join(reasons)}. {_fitting(spec, root)}"
        )
    return runtime


def check_runtime_here(spec: ModelSpec, root: Path | None) -> str:
    """As :func:`check_runtime`, and that this environment can train for it: an export needs its libraries.

    Returns what is in order, in one line.
    """
    from delivery.models.onnx.export import check_installed

    check_runtime(spec, root)
    export = export_of(spec, root)
    if export:
        check_installed()
    name, serving = spec.serving.runtime, spec.serving
    return f"{name} loads {serving.model_format} and speaks {serving.protocol}" + (", by an export" if export else "")


SAVED_AS: dict[Answers, tuple[Weights, ...]] = {
    "numbers": ("skops", "onnx"),
    "classes": ("skops", "onnx"),
    "texts": ("safetensors",),
}
"""How train saves weights: none of them runs code when it is loaded."""


def _weights(runtime: Runtime, model_format: str, task: Task) -> list[str]:
    stored, saved = runtime.formats[model_format], SAVED_AS[TASKS[task].answers]
    if set(saved) & set(stored):
        return []
    code = ", which can run code when they are loaded" if runtime.loading_runs_code else ""
    return [
        f"it loads {model_format} from {' or '.join(stored)} files only{code}, and train saves {saved[0]}, "
        "whose loading runs none"
    ]


def _versions(runtime: Runtime) -> list[str]:
    """One reason for each library whose version differs from the installed one."""
    from importlib.metadata import PackageNotFoundError, version

    reasons = []
    for library, same in runtime.needs.items():
        theirs = runtime.libraries.get(library, "")
        try:
            ours = version(library)
        except PackageNotFoundError:
            reasons.append(f"this environment has no {library}; install ostinato[llm] (in a checkout: make llm)")
            continue
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
        for name, runtime in runtimes(root).items()
        for model_format in runtime.formats
        if spec.task in runtime.tasks and not _weights(runtime, model_format, spec.task) and not _versions(runtime)
    ]
    return f"What fits: {', or '.join(fits) or 'none'}; {HOW_TO_ADD}"
