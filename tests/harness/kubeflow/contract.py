"""Requests and answers held against Kubeflow Pipelines' own swagger, by hand and strictly.

What it does not name is refused, and so is a field of a request that only the server may fill. A validator of JSON
Schema would not do: int64 is written as text there, and may come as a number.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

PUBLISHED = "kubeflow-pipelines.v2beta1.swagger.json"
CONTRACT = Path(__file__).parent / "contracts" / "kfp.json"
USED = (
    "ExperimentService_ListExperiments",
    "ExperimentService_CreateExperiment",
    "HealthzService_GetHealthz",
    "PipelineService_ListPipelines",
    "PipelineService_CreatePipeline",
    "PipelineService_ListPipelineVersions",
    "PipelineService_GetPipelineVersion",
    "PipelineService_DeletePipelineVersion",
    "UploadPipelineVersion",
    "RecurringRunService_ListRecurringRuns",
    "RecurringRunService_CreateRecurringRun",
    "RecurringRunService_DeleteRecurringRun",
    "RecurringRunService_DisableRecurringRun",
    "RunService_ListRuns",
    "RunService_CreateRun",
    "RunService_GetRun",
    "RunService_RetryRun",
    "RunService_TerminateRun",
)


class Broken(AssertionError):
    """A message that the contract does not have."""


def trimmed(published: dict[str, Any]) -> dict[str, Any]:
    """The part of the swagger that is used, without its prose; fields that are told to be output are marked."""
    paths = {
        path: {method: _bare(one) for method, one in operations.items() if one["operationId"] in USED}
        for path, operations in published["paths"].items()
    }
    kept = {path: operations for path, operations in paths.items() if operations}
    definitions: dict[str, Any] = {}
    wanted = set(_references(kept)) | {"v2beta1Filter"}
    while wanted:
        name = wanted.pop()
        definitions[name] = _bare(published["definitions"][name])
        wanted |= set(_references(definitions[name])) - definitions.keys()
    info = {"title": published["info"]["title"], "version": published["info"]["version"]}
    return {"swagger": "2.0", "info": info, "paths": kept, "definitions": dict(sorted(definitions.items()))}


def _bare(node: Any) -> Any:
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key in ("description", "summary", "title", "default", "tags") and not isinstance(value, dict):
            continue
        made[key] = _bare(value)
    if re.match(r"Output\b", str(node.get("description", ""))):
        made["readOnly"] = True
    return made


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for one in node for found in _references(one)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in _references(value)]


class Contract:
    def __init__(self) -> None:
        whole = json.loads(CONTRACT.read_text())
        self.paths, self.definitions = whole["paths"], whole["definitions"]

    def operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        """The operation, and the parts of the path by their names."""
        for template, operations in self.paths.items():
            names = re.findall(r"\{([\w.]+)\}", template)
            pattern = re.sub(r"\\\{[\w.]+\\\}", "([^/:]+)", re.escape(template))
            match = re.fullmatch(pattern, path)
            if match and method.lower() in operations:
                return operations[method.lower()], dict(zip(names, map(unquote, match.groups()), strict=True))
        raise Broken(f"there is no {method} {path}")

    def check_query(self, operation: dict[str, Any], query: dict[str, str]) -> None:
        known = {one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"}
        for name, value in query.items():
            if name not in known:
                raise Broken(f"{operation['operationId']} has no query parameter {name}")
            if known[name]["type"] == "integer" and not re.fullmatch(r"-?\d+", value):
                raise Broken(f"query parameter {name} is {value!r}, no whole number")
        missing = {name for name, one in known.items() if one.get("required")} - query.keys()
        if missing:
            raise Broken(f"{operation['operationId']} needs the query parameters {missing}")

    def check_body(self, operation: dict[str, Any], body: Any) -> None:
        wanted = next((one for one in operation.get("parameters", []) if one["in"] == "body"), None)
        if wanted is None:
            if body is not None:
                raise Broken(f"{operation['operationId']} takes no body")
            return
        if body is None:
            raise Broken(f"{operation['operationId']} needs a body")
        self.check(body, wanted["schema"], "body", asked=True)

    def check_answer(self, operation: dict[str, Any], body: Any) -> None:
        schema = operation["responses"]["200"].get("schema", {})
        self.check(body, schema, "answer", asked=False)

    def check_filter(self, text: str) -> dict[str, Any]:
        found = json.loads(text)
        self.check(found, {"$ref": "#/definitions/v2beta1Filter"}, "filter", asked=True)
        return found

    def check(self, value: Any, schema: dict[str, Any], where: str, *, asked: bool) -> None:
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        kind = schema.get("type")
        if kind == "object":
            self._check_object(value, schema, where, asked)
        elif kind == "array":
            _must(isinstance(value, list), where, value, "a list")
            for i, one in enumerate(value):
                self.check(one, schema["items"], f"{where}.{i}", asked=asked)
        elif kind == "boolean":
            _must(isinstance(value, bool), where, value, "true or false")
        elif kind == "integer":
            _must(isinstance(value, int) and not isinstance(value, bool), where, value, "a whole number")
        elif kind == "string":
            _check_text(value, schema, where)

    def _check_object(self, value: Any, schema: dict[str, Any], where: str, asked: bool) -> None:
        _must(isinstance(value, dict), where, value, "an object")
        known, more = schema.get("properties"), schema.get("additionalProperties")
        for name, one in value.items():
            if known and name in known:
                if asked and known[name].get("readOnly"):
                    raise Broken(f"{where}.{name} is filled by the server alone")
                self.check(one, known[name], f"{where}.{name}", asked=asked)
            elif isinstance(more, dict):
                self.check(one, more, f"{where}.{name}", asked=asked)
            elif known:
                raise Broken(f"{where} has no field {name}")


def _check_text(value: Any, schema: dict[str, Any], where: str) -> None:
    if schema.get("format") == "int64":
        _must(re.fullmatch(r"-?\d+", str(value)) is not None, where, value, "an int64")
        return
    _must(isinstance(value, str), where, value, "a text")
    if "enum" in schema:
        _must(value in schema["enum"], where, value, f"one of {schema['enum']}")
    if schema.get("format") == "date-time":
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise Broken(f"{where} is {value!r}, no time") from error
        _must(found.tzinfo is not None, where, value, "a time with its zone")


def _must(holds: bool, where: str, value: Any, what: str) -> None:
    if not holds:
        raise Broken(f"{where} is {value!r}, and must be {what}")
