"""Putting a pin into the text of a spec.yaml, so that comments and every other byte stay."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import yaml

from training.errors import InputError


def with_pin(text: str, sha256: str, pinned_on: date, where: str) -> str:
    """The text with ``data.testset.sha256`` and ``pinned_on`` set; the section is added if it is not there.

    The scalars are replaced at the marks that the YAML parser reports, and the result is parsed again to see
    that nothing else changed. Raises InputError, with the lines to write by hand, if something did.
    """
    pin = {"sha256": f'"{sha256}"', "pinned_on": pinned_on.isoformat()}
    try:
        edited = _edited(text, pin)
        unchanged = _without_pin(yaml.safe_load(text)) == _without_pin(yaml.safe_load(edited))
        written = yaml.safe_load(edited)["data"]["testset"]
    except (yaml.YAMLError, LookupError):
        unchanged, written = False, {}
    if not unchanged or (written.get("sha256"), written.get("pinned_on")) != (sha256, pinned_on):
        lines = "\n".join(f"  {key}: {value}" for key, value in pin.items())
        raise InputError(f"{where} is written in a way that cannot be edited; set these under data.testset:\n{lines}")
    return edited


def _edited(text: str, pin: dict[str, str]) -> str:
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(mark)
    data = _child(yaml.compose(body), "data")
    section = _child(data, "testset")
    if section is None:
        at, lines = _end(body, data), ["testset:", *(f"  {key}: {value}" for key, value in pin.items())]
        return mark + _inserted(body, at, lines, data.start_mark.column)
    for key, value in sorted(pin.items(), key=lambda item: -_start(_child(section, item[0]))):
        scalar = _child(section, key)
        body = body[: scalar.start_mark.index] + value + body[scalar.end_mark.index :]
    return mark + body


def _child(node: Any, key: str) -> Any:
    """The value node under a key of a mapping node, or None."""
    if not isinstance(node, yaml.MappingNode):
        raise LookupError("no mapping")
    return next((value for name, value in node.value if name.value == key), None)


def _start(node: Any) -> int:
    if node is None:
        raise LookupError("the section has no such key")
    return node.start_mark.index


def _end(text: str, node: Any) -> int:
    """Where the line after the last value of a mapping starts; comments and blank lines come later."""
    last = max(leaf.end_mark.index for leaf in _leaves(node))
    if text[last - 1] == "\n":
        return last
    newline = text.find("\n", last)
    return len(text) if newline < 0 else newline + 1


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _leaves(value)
    else:
        for value in node.value:
            yield from _leaves(value)


def _inserted(text: str, at: int, lines: list[str], indent: int) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text[:at] if text[:at].endswith("\n") else text[:at] + newline
    return before + "".join(f"{' ' * indent}{line}{newline}" for line in lines) + text[at:]


def _without_pin(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as parsed, without the two values that a rotation sets, nor an otherwise empty section."""
    data = dict(spec["data"])
    rest = {
        key: value for key, value in (data.pop("testset", None) or {}).items() if key not in ("sha256", "pinned_on")
    }
    return {**spec, "data": data, "testset": rest}
