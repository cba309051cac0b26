"""How a run writes things down: events, and JSON files that are whole or absent."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "run started",
    "run ended",
    "step started",
    "step succeeded",
    "step failed",
    "step retried",
    "step cached",
    "step resumed",
    "cache missed",
    "module preloaded",
    "module missing",
]

RESULT = "result.json"
LOG = "step.log"


@dataclass(frozen=True)
class Event:
    """One line of ``events.jsonl``; fields that do not apply are left out there."""

    kind: Kind
    time: str
    """UTC, ISO 8601, milliseconds."""
    step: str = ""
    attempt: int = 0
    """Counts from 1 in each run folder; 0 if no attempt was needed."""
    seconds: float | None = None
    """Wall time of the step, the import or the run that ended."""
    key: str = ""
    """Cache key of the step."""
    detail: str = ""
    """Status of an ended run, message of a failed step, reason of a miss, module, or folder that answered."""


class Journal:
    """Appends events to ``events.jsonl``, one write each, and tells the caller."""

    def __init__(self, path: Path, tell: Callable[[Event], None]) -> None:
        self._path, self._tell = path, tell

    def add(self, kind: Kind, **fields: Any) -> None:
        event = Event(kind, now(), **fields)
        line = json.dumps({key: value for key, value in asdict(event).items() if value not in ("", None, 0)}) + "\n"
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode())
        self._tell(event)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def disk_full(error: BaseException | None) -> bool:
    """Whether the error, or one that it comes from, says that there is no room to write."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_text(path: Path, text: str) -> None:
    """Write whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a file; None if there is none or it is torn."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
