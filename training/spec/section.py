"""What every part of a spec is made of: a frozen model with one canonical text, durations."""

import hashlib
import json
import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"^(\d+)(m|h|d|w)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """``90m``, ``24h``, ``7d`` or ``8w`` as a timedelta. Raises ValueError for anything else."""
    match = _DURATION.match(text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a duration; write a positive whole number and m, h, d or w, such as 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _check_duration(value: object) -> str:
    text = str(value)
    parse_duration(text)
    return text


NOT_A_TEXT = "not_a_text"
"""Kind of a problem of a value inside a part: `ctx` has its place there, `at`, and the `value`."""

Duration = Annotated[str, BeforeValidator(_check_duration)]
Share = Annotated[float, Field(ge=0, le=1)]


def canonical_text(content: object) -> str:
    """JSON with sorted keys, without whitespace.

    Double braces, which only texts can hold, are written with an escape: Argo Workflows and Kubeflow Pipelines expand
    what stands between them in every argument (https://argo-workflows.readthedocs.io/en/latest/variables/).
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return text.replace("{{", "{\\u007b")


class Frozen(BaseModel):
    """Frozen, unknown keys refused, attribute docstrings become the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Section(Frozen):
    """Base of every part of a spec: it has one canonical text and a digest."""

    def canonical_json(self) -> str:
        """Equal content gives equal text, as of :func:`canonical_text`, with every default written out."""
        return canonical_text(self.model_dump(mode="json"))

    def digest(self) -> str:
        """``sha256:`` and the hex digest of the canonical JSON."""
        return "sha256:" + hashlib.sha256(self.canonical_json().encode()).hexdigest()
