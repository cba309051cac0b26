"""The compiled package (KFP v2 IR) as the engine sees it: parsed whole, or refused before anything runs.

Supported is a flat DAG of lightweight Python components, connected by parameters, artifacts and ``.after``.
A key that the parser does not know is a construct that would be skipped silently, so it is refused.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from training.errors import InputError

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
"""How KFP writes an input into a text, as in ``text=f"{run}-{step.output}"``."""
RUN_NAMES = ("{{$.pipeline_job_name}}", "{{$.pipeline_job_resource_name}}")
"""kfp.dsl's PIPELINE_JOB_NAME_PLACEHOLDER and PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER: the run's name."""

PARAMETER_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "STRING": ("text", (str,)),
    "NUMBER_INTEGER": ("a whole number", (int,)),
    "NUMBER_DOUBLE": ("a number", (int, float)),
    "BOOLEAN": ("true or false", (bool,)),
    "LIST": ("a list", (list,)),
    "STRUCT": ("a mapping", (dict,)),
}

_REFUSED = {
    "condition": ("a condition (dsl.If)", "decide inside the step"),
    "strategy": ("an exit task or ignore_upstream_failure()", "let the step before it end well"),
    "parameterIterator": ("a loop (dsl.ParallelFor)", "loop inside the step"),
    "artifactIterator": ("a loop (dsl.ParallelFor)", "loop inside the step"),
    "dag": ("a nested pipeline, or a group such as dsl.ExitHandler", "call the steps from the pipeline itself"),
    "importer": ("an importer (dsl.importer)", "pass the URI as a parameter and read it in the step"),
    "artifacts": ("an artifact given from outside", "pass its URI as a parameter"),
    "taskFinalStatus": ("the final status of a task", "report by an output"),
    "isArtifactList": ("a list of artifacts", "give each artifact an input of its own"),
    "outputs": ("outputs of the pipeline itself", "read the outputs of the step that makes them"),
    "outputDefinitions": ("outputs of the pipeline itself", "read the outputs of the step that makes them"),
}


@dataclass(frozen=True)
class Argument:
    """A value given to the pipeline."""

    name: str


@dataclass(frozen=True)
class StepOutput:
    """An output of an earlier step."""

    step: str
    name: str


@dataclass(frozen=True)
class Constant:
    """A value written in the pipeline; text may hold placeholders for other inputs of its step."""

    value: Any


@dataclass(frozen=True)
class RunName:
    """The name of the run."""


Origin = Argument | StepOutput | Constant | RunName
"""Where a step's parameter comes from."""


@dataclass(frozen=True)
class Component:
    """A lightweight Python component: its source, and the KFP types of what goes in and out, by name."""

    source: str
    function: str
    env: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, Any]]
    """Input parameters: ``parameterType`` and perhaps ``defaultValue``."""
    output_parameters: Mapping[str, str]
    output_artifacts: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Retry:
    """Wait ``backoff`` seconds before the second attempt, ``factor`` times longer each time, at most ``longest``."""

    most: int
    backoff: float
    factor: float
    longest: float

    def wait(self, tries: int) -> float:
        """Seconds to wait after so many failed tries."""
        return min(self.longest, self.backoff * self.factor ** (tries - 1))


@dataclass(frozen=True)
class Task:
    """A step of the pipeline."""

    name: str
    component: Component
    parameters: Mapping[str, Origin]
    artifacts: Mapping[str, StepOutput]
    upstream: frozenset[str]
    cached: bool
    cache_key: str
    """Text that the pipeline's author added to the cache key; it never replaces the computed key."""
    retry: Retry


@dataclass(frozen=True)
class Package:
    """A pipeline: its name, the parameters that it takes, and its steps, those with the longest way to go first."""

    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Task]


def load_package(path: Path) -> dict[str, Any]:
    """Read a package compiled to YAML. Raises InputError if it is missing or is not one YAML mapping."""
    import yaml

    try:
        documents = list(yaml.load_all(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; compile the pipeline first") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError(
            f"{path} holds {len(documents)} YAML documents, and the local engine takes one mapping; "
            "compile the pipeline without Kubernetes settings"
        )
    return documents[0]


def parse_package(ir: Mapping[str, Any]) -> Package:
    """The steps of a package. Raises InputError naming the step and the construct if the engine cannot run it."""
    needed = ("components", "deploymentSpec", "pipelineInfo", "root", "schemaVersion")
    if missing := [key for key in needed if key not in ir]:
        raise InputError(f"this is no compiled pipeline: {', '.join(missing)} missing; compile it with kfp 2")
    if not str(ir["schemaVersion"]).startswith("2."):
        raise InputError(f"the package has schemaVersion {ir['schemaVersion']!r}, not 2.x; compile it with kfp 2")
    _only(ir, "the package", {*needed, "sdkVersion", "defaultPipelineRoot"})
    root = ir["root"]
    tasks = {name: _task(name, raw, ir) for name, raw in root["dag"]["tasks"].items()}
    _only(root, "the pipeline", {"dag", "inputDefinitions"})
    _only(root["dag"], "the pipeline", {"tasks"})
    inputs = root.get("inputDefinitions", {})
    _only(inputs, "the pipeline", {"parameters"})
    return Package(ir["pipelineInfo"]["name"], inputs.get("parameters", {}), _longest_way_first(tasks))


def _longest_way_first(tasks: Mapping[str, Task]) -> dict[str, Task]:
    steps = dict.fromkeys(tasks, 0)
    for name in reversed(list(TopologicalSorter({task.name: task.upstream for task in tasks.values()}).static_order())):
        for before in tasks[name].upstream:
            steps[before] = max(steps[before], steps[name] + 1)
    return {name: tasks[name] for name in sorted(tasks, key=lambda name: (-steps[name], name))}


def _only(node: Mapping[str, Any], where: str, known: Collection[str]) -> None:
    """Raises InputError if the node has a key that the engine would have to skip."""
    for key in node:
        if key not in known:
            raise _refusal(where, *_REFUSED.get(key, (repr(key), "leave it out")))


def _refusal(where: str, what: str, instead: str) -> InputError:
    return InputError(f"{where} uses {what}, which the local engine does not run; {instead}, or run it on a cluster")


def _task(name: str, raw: Mapping[str, Any], ir: Mapping[str, Any]) -> Task:
    where = f"step {name!r}"
    _only(raw.get("triggerPolicy", {}), where, ())
    _only(raw, where, {"cachingOptions", "componentRef", "dependentTasks", "inputs", "retryPolicy", "taskInfo"})
    inputs, caching, retry = raw.get("inputs", {}), raw.get("cachingOptions", {}), raw.get("retryPolicy", {})
    _only(inputs, where, {"artifacts", "parameters"})
    _only(caching, where, {"cacheKey", "enableCache"})
    _only(retry, where, {"backoffDuration", "backoffFactor", "backoffMaxDuration", "maxRetryCount"})
    parameters = {key: _origin(value, where, key) for key, value in inputs.get("parameters", {}).items()}
    artifacts = {key: _artifact(value, where) for key, value in inputs.get("artifacts", {}).items()}
    origins = [*parameters.values(), *artifacts.values()]
    return Task(
        name=name,
        component=_component(raw["componentRef"]["name"], where, ir),
        parameters=parameters,
        artifacts=artifacts,
        upstream=frozenset(raw.get("dependentTasks", ())) | {o.step for o in origins if isinstance(o, StepOutput)},
        cached=bool(caching.get("enableCache")),
        cache_key=caching.get("cacheKey", ""),
        retry=Retry(
            most=int(retry.get("maxRetryCount", 0)),
            backoff=float(retry.get("backoffDuration", "0s").removesuffix("s")),
            factor=float(retry.get("backoffFactor", 2)),
            longest=float(retry.get("backoffMaxDuration", "3600s").removesuffix("s")),
        ),
    )


def _origin(raw: Mapping[str, Any], where: str, name: str) -> Origin:
    _only(raw, where, {"componentInputParameter", "runtimeValue", "taskOutputParameter"})
    if argument := raw.get("componentInputParameter"):
        return Argument(argument)
    if source := raw.get("taskOutputParameter"):
        return StepOutput(source["producerTask"], source["outputParameterKey"])
    value = raw["runtimeValue"]["constant"]
    if value in RUN_NAMES:
        return RunName()
    if "{{$" in (PLACEHOLDER.sub("", value) if isinstance(value, str) else repr(value)):
        what = f"a placeholder in {name!r} that is not a plain input in a text ({value!r:.120})"
        raise _refusal(where, what, "pass the value as a parameter of its own")
    return Constant(value)


def _artifact(raw: Mapping[str, Any], where: str) -> StepOutput:
    if "taskOutputArtifact" not in raw:
        raise _refusal(where, *_REFUSED["artifacts"])
    return StepOutput(raw["taskOutputArtifact"]["producerTask"], raw["taskOutputArtifact"]["outputArtifactKey"])


def _component(name: str, where: str, ir: Mapping[str, Any]) -> Component:
    raw = ir["components"][name]
    _only(raw, where, {"executorLabel", "inputDefinitions", "outputDefinitions"})
    inputs, outputs = raw.get("inputDefinitions", {}), raw.get("outputDefinitions", {})
    for definition in [*inputs.get("artifacts", {}).values(), *outputs.get("artifacts", {}).values()]:
        _only(definition, where, {"artifactType", "description", "isOptional"})
    for key, definition in inputs.get("parameters", {}).items():
        if definition["parameterType"] not in PARAMETER_TYPES:
            what = f"the type {definition['parameterType']} for {key!r}"
            raise _refusal(where, what, "use str, int, float, bool, list or dict")
    source, function, env = _python(ir["deploymentSpec"]["executors"][raw["executorLabel"]], where)
    return Component(
        source=source,
        function=function,
        env=env,
        inputs=inputs.get("parameters", {}),
        output_parameters={key: value["parameterType"] for key, value in outputs.get("parameters", {}).items()},
        output_artifacts={key: value["artifactType"] for key, value in outputs.get("artifacts", {}).items()},
    )


def _python(executor: Mapping[str, Any], where: str) -> tuple[str, str, dict[str, str]]:
    """Source, function name and environment of a lightweight component. Its image and resources are for clusters."""
    _only(executor, where, {"container"})
    container = executor["container"]
    _only(container, where, {"args", "command", "env", "image", "resources"})
    command, args = container.get("command", []), container.get("args", [])
    if any("pip install" in part for part in command[:-1]):
        what = "packages_to_install, or installs kfp"
        raise _refusal(where, what, "add the packages to the project and set install_kfp_package=False")
    if len(command) != 4 or command[0] != "sh" or "kfp.dsl.executor_main" not in command[2]:
        raise _refusal(where, "a container", "write the step as a lightweight Python component (@dsl.component)")
    env = {variable["name"]: variable["value"] for variable in container.get("env", [])}
    return command[3], args[args.index("--function_to_execute") + 1], env
