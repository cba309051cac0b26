"""What a step is given, as KFP hands it over."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.backends.local.artifact import Artifact, Outputs, artifact_list
from pipelines.backends.local.ir import (
    PARAMETER_TYPES,
    PLACEHOLDER,
    Argument,
    Constant,
    Package,
    RunName,
    StepOutput,
    Task,
)
from pipelines.backends.local.step import Job
from training.errors import InputError, did_you_mean


def check_arguments(package: Package, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of the pipeline, with defaults. Raises InputError for an unknown, missing or wrongly typed one."""
    for name in given:
        if name not in package.parameters:
            raise InputError(f"{package.name} has no parameter {name!r}. {did_you_mean(name, package.parameters)}")
    values = {}
    for name, definition in package.parameters.items():
        if name in given:
            kind, types = PARAMETER_TYPES[definition["parameterType"]]
            value = given[name]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise InputError(f"parameter {name!r} of {package.name} must be {kind}; got {value!r}")
            values[name] = value
        elif "defaultValue" in definition:
            values[name] = _typed(definition["defaultValue"], definition["parameterType"])
        elif not definition.get("isOptional"):
            raise InputError(f"parameter {name!r} of {package.name} is missing; give it a value")
    return values


def input_values(task: Task, arguments: Mapping[str, Any], outputs: Mapping[str, Outputs], run: str) -> dict[str, Any]:
    """The values of a step's input parameters; optional ones that have none are left out."""
    values: dict[str, Any] = {}
    for name, origin in task.parameters.items():
        match origin:
            case Argument(argument) if argument in arguments:
                values[name] = arguments[argument]
            case StepOutput(step, output):
                values[name] = outputs[step].parameters[output]
            case Constant(value):
                values[name] = value
            case RunName():
                values[name] = run
    for name, origin in task.parameters.items():
        if isinstance(origin, Constant) and isinstance(origin.value, str):
            values[name] = PLACEHOLDER.sub(lambda match: _text(values[match[1]]), origin.value)
    known = {}
    for name, definition in task.component.inputs.items():
        if name in values or "defaultValue" in definition:
            known[name] = _typed(values.get(name, definition.get("defaultValue")), definition["parameterType"])
    return known


def make_job(
    task: Task, key: str, parameters: Mapping[str, Any], artifacts: Mapping[str, Artifact], folder: Path
) -> Job:
    """An attempt of a step in a folder, where all its outputs have their places."""
    component = task.component
    given = {name: artifact_list(a.name, a.type, a.uri, _as_protobuf(a.metadata)) for name, a in artifacts.items()}
    made = {
        name: artifact_list(name, type, str(folder / name), {}) for name, type in component.output_artifacts.items()
    }
    outputs = {
        "parameters": {name: {"outputFile": str(folder / name)} for name in component.output_parameters},
        "artifacts": made,
        "outputFile": str(folder / "executor_output.json"),
    }
    return Job(
        step=task.name,
        key=key,
        folder=str(folder),
        source=component.source,
        function=component.function,
        env=component.env,
        executor_input={"inputs": {"parameterValues": parameters, "artifacts": given}, "outputs": outputs},
        output_parameters=component.output_parameters,
        output_artifacts=component.output_artifacts,
    )


def _as_protobuf(value: Any) -> Any:
    """The value as it leaves KFP's protobuf: every number is a float."""
    if isinstance(value, dict):
        return {key: _as_protobuf(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_protobuf(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return int(value) if kind == "NUMBER_INTEGER" else _as_protobuf(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
