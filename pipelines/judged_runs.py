"""`ostinato comment`: what runs that ended with evaluate printed, and how the command ends."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from delivery.documents.verdict import Verdict
from delivery.releases.code_comment import Judged
from training.errors import GateRefused, InputError, OstinatoError


def read_result(path: Path) -> Judged:
    """The verdict in a file ``MODEL.json``; none where the file is empty, since the run did not finish.

    Raises InputError for a file that is missing, or holds something else.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    if not content.strip():
        return Judged(path.stem, None)
    try:
        document = json.loads(content)
        model, verdict = document["model"], document["verdict"]
        return Judged(model, Verdict.model_validate(verdict) if verdict else None)
    except (json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        raise InputError(f"{path} is not what `ostinato run MODEL --until evaluate --json` prints: {error}") from error


def check_judged(judged: Sequence[Judged]) -> None:
    """Raises OstinatoError for a run without a verdict, else GateRefused where checks failed."""
    broken = [result.model for result in judged if not result.verdict]
    refused = [result.model for result in judged if result.verdict and result.verdict.decision == "reject"]
    if broken:
        raise OstinatoError(f"no verdict about {', '.join(broken)}: the run did not finish; see its log")
    if refused:
        raise GateRefused(f"checks failed: {', '.join(refused)}")
