"""Words that stand in a ``spec.yaml`` without quotes, and that YAML 1.1 reads as something else than a text.

`NO` and `on` are truth values, `0.20` is 0.2, `012` is ten, `2026-01-01` a date and `null` nothing
(https://yaml.org/type/). Where a text is wanted, the error shows the word as it was written, and says to quote it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Where a value stands, as pydantic names it: keys and positions, and `[key]` at the end for a key itself."""
Words = Mapping[Place, str]
"""What is written at each place."""

_AMBIGUOUS_NUMBER = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+")


def read_yaml(text: str) -> tuple[Any, Words]:
    """The value of a text, and the words that stand in it without quotes. Raises yaml.YAMLError."""
    loader = yaml.SafeLoader(text)
    root = loader.get_single_node()
    return (loader.construct_document(root), dict(_scalars(root, ()))) if root is not None else (None, {})


def _scalars(node: yaml.Node, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        yield place, node.value
    elif isinstance(node, yaml.SequenceNode):
        for i, entry in enumerate(node.value):
            yield from _scalars(entry, (*place, i))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                named = (*place, _name(key))
                yield from _scalars(key, (*named, "[key]"))
                yield from _scalars(value, named)


def _name(key: yaml.ScalarNode) -> str | int:
    """A key as pydantic has it in the place of an error: true is 1."""
    if key.tag == "tag:yaml.org,2002:str":
        return key.value
    value = yaml.SafeLoader("").construct_object(key)
    return int(value) if isinstance(value, int) else repr(value)


def ambiguous_numbers(written: Words) -> list[str]:
    """One line for each number that other readers of YAML take for another number: `010` is 8, `1:30` is 90."""
    return [
        f"{field_at(place)}: {word} is the number {yaml.safe_load(word)} for YAML 1.1, and another one for other "
        "readers; write a number without leading zeros and colons, a text in quotes"
        for place, word in written.items()
        if _AMBIGUOUS_NUMBER.fullmatch(word) and isinstance(yaml.safe_load(word), int)
    ]


def field_at(place: Place) -> str:
    """The field as an error names it; of a key the mapping that has it."""
    parts = place[:-2] if place and place[-1] == "[key]" else place
    return ".".join(str(part) for part in parts) or "spec"


def explain_no_text(value: Any, word: str | None) -> str | None:
    """What to do where a text is wanted and ``value`` was read; None for a list or a mapping, where quotes don't help.

    word: what is written there, None where that is not known.
    """
    if word == "":
        return "a text is wanted, and nothing is written; write one, or leave the field out"
    if not isinstance(value, bool | int | float | date | None):
        return None
    kind = f"the date {value}" if isinstance(value, date) else f"the number {value}"
    if value is None or isinstance(value, bool):
        kind = "nothing" if value is None else f"the truth value {str(value).lower()}"
    return f"a text is wanted, and YAML reads {word or 'it'} as {kind}; quote it" + (f': "{word}"' if word else "")
