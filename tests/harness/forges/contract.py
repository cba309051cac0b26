"""Requests and answers held against a vendor's contract, strictly: what it does not name is refused."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

CONTRACTS = Path(__file__).parent / "contracts"


class Broken(AssertionError):
    """A message that the contract does not have."""


class Contract:
    def __init__(self, kind: str) -> None:
        self.paths: dict[str, Any] = json.loads((CONTRACTS / f"{kind}.json").read_text())["paths"]

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any], list[str]]:
        """The operation's id, the operation, and the parts of the path that vary."""
        for template, operations in self.paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(template))
            match = re.fullmatch(pattern, path)
            if match and method.lower() in operations:
                found = operations[method.lower()]
                return found["operationId"], found, [unquote(part) for part in match.groups()]
        raise Broken(f"there is no {method} {path}")

    def check_request(self, operation: dict[str, Any], query: dict[str, str], body: Any) -> None:
        parameters = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "query"}
        for name, value in query.items():
            if name not in parameters:
                raise Broken(f"{operation['operationId']} has no query parameter {name}")
            _check(int(value) if parameters[name].get("type") == "integer" else value, parameters[name])
        content = operation.get("requestBody")
        if content is None:
            if body is not None:
                raise Broken(f"{operation['operationId']} takes no body")
            return
        _check(body, content["content"]["application/json"]["schema"])

    def check_answer(self, operation: dict[str, Any], status: int, body: Any) -> None:
        told = operation["responses"].get(str(status), {})
        if "content" in told:
            _check(body, told["content"]["application/json"]["schema"])


def _check(value: Any, schema: dict[str, Any]) -> None:
    error = next(_validator(json.dumps(schema)).iter_errors(value), None)
    if error:
        raise Broken(f"{error.json_path}: {error.message[:300]}")


@cache
def _validator(text: str) -> Draft202012Validator:
    """An OpenAPI 3.0 schema as JSON Schema that refuses unknown properties."""
    return Draft202012Validator(_strict(json.loads(text)))


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items() if key != "nullable"}
    if "properties" in made and isinstance(made["properties"], dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
