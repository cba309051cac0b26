"""What is wrong with a spec, in words: the field, the value, the fix."""

import re
from typing import Any

from pydantic import BaseModel

from training.errors import did_you_mean
from training.spec.checks.kinds import KINDS


def is_echo(problem: Any) -> bool:
    """Whether a list is called too short only because its entries are wrong, which other problems say."""
    return problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"]


def explain(problem: Any, schema: dict[str, Any]) -> str:
    """One line for one pydantic problem: the field, what is wrong with the value, the fix.

    schema: JSON Schema of the spec, which knows the fields that are allowed.
    """
    tags = {"time", "key", "table", "conversations", *KINDS}
    path = [part for i, part in enumerate(problem["loc"]) if not (i and part in tags and _is_tag(problem["loc"], i))]
    where = ".".join(str(part) for part in path) or "spec"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key. {did_you_mean(str(path[-1]), _fields_at(path[:-1], schema))}"
    if problem["type"] == "missing":
        return f"{where}: missing; add it"
    if problem["type"] == "union_tag_invalid":
        field = "by" if path[-1] == "split" else "kind"
        known = [tag.strip("' ") for tag in problem["ctx"]["expected_tags"].split(",")]
        given = problem["ctx"]["tag"]
        hint = f"Write {' or '.join(known)}." if len(known) == 2 else did_you_mean(given, known)
        return f"{where}.{field}: {given!r} is not known. {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" (got {_without_password(value)!r})"
    return f"{where}: {message}{shown}"


def _without_password(value: Any) -> Any:
    """A value that may be shown: of an address neither user and password nor the query."""
    if isinstance(value, str) and re.match(r"[a-z0-9+]+://", value):
        return re.sub(r"\?.*", "?***", re.sub(r"://[^/]*@", "://***@", value))
    return value


def _is_tag(loc: tuple[Any, ...], i: int) -> bool:
    """Whether ``loc[i]`` is the union tag that pydantic puts after a discriminated field."""
    return loc[i - 1] in ("split", "data") or (i >= 2 and loc[i - 2] == "checks")


def _fields_at(path: list[Any], schema: dict[str, Any]) -> set[str]:
    """Names of the fields allowed at a path of the schema (union members pooled)."""
    nodes: list[dict[str, Any]] = [schema]

    def resolve(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return resolve(schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
        for union in ("oneOf", "anyOf", "allOf"):
            if union in node:
                return [leaf for member in node[union] for leaf in resolve(member)]
        return [node]

    for part in path:
        inner = [
            node.get("items", {})
            if isinstance(part, int)
            else node.get("properties", {}).get(part)
            or (node.get("additionalProperties") if isinstance(node.get("additionalProperties"), dict) else {})
            for node in nodes
        ]
        nodes = [leaf for node in inner if node for leaf in resolve(node)]
    return {name for node in nodes for name in node.get("properties", {})}
