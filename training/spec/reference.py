"""The reference of ``spec.yaml`` as Markdown, made from the schema by ``make docs``."""

import json
from typing import Any

from training.spec.model_spec import json_schema
from training.spec.tasks import METRICS

HEAD = """\
# Reference of spec.yaml

Made from the schema by `ostinato schema --markdown`; a test compares. `ostinato schema` prints the JSON Schema itself,
which `spec.schema.json` beside this page holds for editors. Unknown keys are refused everywhere. A duration is a whole
number and `m`, `h`, `d` or `w`; a quantity is Kubernetes' (`500m`, `2`, `4Gi`). Where a text is wanted, what YAML reads
as something else is quoted: `"NO"`, `"on"`, `"0.20"`, `"2026-01-01"`. What comes into a manifest is checked by
Kubernetes' own rules.
"""


def reference() -> str:
    """One section for each part of the spec, in the order in which they are met; then the metrics of each task."""
    schema = json_schema()
    parts, seen = [("spec.yaml", schema)], {"ModelSpec"}
    out = [HEAD]
    while parts:
        title, node = parts.pop(0)
        out.append(f"## {title}\n\n{node.get('description', '').strip()}\n")
        out.append("| field | type | default | meaning |\n|---|---|---|---|")
        required = set(node.get("required", ()))
        for name, field in node.get("properties", {}).items():
            default = "**required**" if name in required else _default(field)
            meaning = " ".join(field.get("description", "").split())
            out.append(f"| `{name}` | {_type(field)} | {default} | {meaning} |")
            for reference in _references(field):
                if reference not in seen:
                    seen.add(reference)
                    parts.append((reference, schema["$defs"][reference]))
        out.append("")
    out.append("## Metrics\n\n| task | metric | better |\n|---|---|---|")
    out += [f"| {task} | `{name}` | {better} |" for task, names in METRICS.items() for name, better in names.items()]
    return "\n".join(out) + "\n"


def _default(field: dict[str, Any]) -> str:
    """The default as JSON; nothing for an empty one, nor for a part, whose own section tells."""
    value = field.get("default")
    return "" if value in (None, "", [], {}) or isinstance(value, dict) else f"`{json.dumps(value)}`"


def _type(field: dict[str, Any]) -> str:
    """The type in words; a link for a part with a section of its own."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for union in ("anyOf", "oneOf"):
        if union in field:
            members = [_type(member) for member in field[union] if member.get("type") != "null"]
            return " or ".join(dict.fromkeys(members))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        return f"mapping to {_type(field.get('additionalProperties', {}))}"
    bounds = [f"{sign} {field[key]}" for key, sign in _BOUNDS.items() if key in field]
    return " ".join([field.get("type", "any"), *bounds])


_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if isinstance(node, dict):
        own = [node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else []
        return own + [name for key, item in node.items() if key != "discriminator" for name in _references(item)]
    return []
