"""What is wrong with a spec, in words: the field, the value, the fix."""

import re
from datetime import date
from typing import Any

from pydantic import BaseModel

from training.errors import did_you_mean
from training.spec.checks.kinds import KINDS
from training.spec.plain_yaml import Place, Words, explain_no_text, field_at
from training.spec.section import NOT_A_TEXT

MEMBERS = {"int": "int_type", "float": "float_type", "bool": "bool_type", "none": "none_required"}
"""What pydantic says of a value that fits no member of a union of plain values, beside `string_type` for the text."""


def is_echo(problem: Any) -> bool:
    """Whether another problem says it: a list is too short since its entries are wrong, a date fits no member of a
    union."""
    if problem["type"] == "too_short":
        return len(problem["input"]) >= problem["ctx"]["min_length"]
    fits_none = bool(problem["loc"]) and MEMBERS.get(problem["loc"][-1]) == problem["type"]
    return fits_none and isinstance(problem["input"], date | None)


def explain(problem: Any, schema: dict[str, Any], written: Words) -> str:
    """One line for one pydantic problem: the field, what is wrong with the value, the fix.

    schema: JSON Schema of the spec, which knows the fields that are allowed. written: the words of the file.
    """
    path = _place(problem, written)
    where = field_at(path)
    if problem["type"] in ("string_type", NOT_A_TEXT):
        value = problem["ctx"]["value"] if problem["type"] == NOT_A_TEXT else problem["input"]
        if advice := explain_no_text(value, written.get(path)):
            return f"{where}: {advice}"
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


def _place(problem: Any, written: Words) -> Place:
    """Where the value stands in the file: without the names that pydantic adds for members of unions."""
    loc = problem["loc"]
    tags = {"time", "key", "table", "conversations", *KINDS}
    place = tuple(part for i, part in enumerate(loc) if not (i and part in tags and _is_tag(loc, i)))
    if problem["type"] == NOT_A_TEXT:
        place = (*place, *problem["ctx"]["at"])
    if place and place[-1] == "str" and place not in written and place[:-1] in written:
        return place[:-1]
    return place


def _without_password(value: Any) -> Any:
    """A value that may be shown: of an address neither user and password nor the query."""
    if isinstance(value, str) and re.match(r"[a-z0-9+]+://", value):
        return re.sub(r"\?.*", "?***", re.sub(r"://[^/]*@", "://***@", value))
    return value


def _is_tag(loc: tuple[Any, ...], i: int) -> bool:
    """Whether ``loc[i]`` is the union tag that pydantic puts after a discriminated field."""
    return loc[i - 1] in ("split", "data") or (i >= 2 and loc[i - 2] == "checks")


def _fields_at(path: Place, schema: dict[str, Any]) -> set[str]:
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
