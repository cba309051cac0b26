"""What the judge replied: one JSON object, or nothing that can be used."""

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Better = Literal["first", "second", "tie"]
FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
SHOWN_CHARS = 80


class JudgeReply(BaseModel):
    """The judge's word on one pair in one order."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    better: Better
    reason: str


class Unusable(Exception):
    """A reply that is no verdict; the text says what it was instead."""


def read_reply(text: str) -> JudgeReply:
    """The verdict of a reply: a JSON object with ``better`` and ``reason`` alone. White space around it and one code
    fence, ```` ```json ````, are passed over. Raises Unusable for everything else."""
    bare = text.strip()
    fenced = FENCED.fullmatch(bare)
    try:
        reply = JudgeReply.model_validate(json.loads(fenced[1] if fenced else bare, object_pairs_hook=_each_key_once))
        reply.reason.encode()  # JSON may hold half a character, which no file can
        return reply
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the reply"
        raise Unusable(f"{where}: {problem['msg']}, in {shown(bare)}") from error
    except (ValueError, RecursionError) as error:
        raise Unusable(f"it replied {shown(bare)}, which is not the JSON object that was asked for") from error


def shown(text: str) -> str:
    """The beginning of a text on one line, in quotes."""
    line = " ".join(text[: 4 * SHOWN_CHARS].split())
    return repr(line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + "…")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)
