"""The judge's answers, kept by content: one file for each thing that it was asked."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from components.evaluate.language.judge.prompt import Messages
from components.evaluate.language.judge.reply import JudgeReply
from training.errors import InputError
from training.folder import workspace_root

VARIABLE = "OSTINATO_JUDGE_CACHE"


def judge_cache() -> Path:
    """The folder of kept answers: OSTINATO_JUDGE_CACHE, else ``.ostinato/judge`` of the workspace.

    Raises InputError where there is neither.
    """
    given = os.environ.get(VARIABLE)
    return Path(given) if given else workspace_root() / ".ostinato" / "judge"


def key_of(model: str, asked: Messages) -> str:
    """64 hex digits over the judge's name and the whole of what it is asked: rubric, texts, their order, wording.

    The address is not in it: an endpoint that moves, or is reached through another one, is not asked anew.
    """
    return hashlib.sha256(json.dumps([model, asked], sort_keys=True).encode()).hexdigest()


class Cache:
    """Files are written whole and put in place at once, so steps that run at the same time, or are killed, leave none
    that is half written. A file that is damaged all the same counts as absent. Raises InputError where the folder
    can't be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def get(self, key: str) -> JudgeReply | None:
        try:
            return JudgeReply.model_validate_json((self._folder / f"{key}.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, key: str, reply: JudgeReply) -> None:
        try:
            with tempfile.NamedTemporaryFile("wb", dir=self._folder, suffix=".part", delete=False) as part:
                part.write(reply.model_dump_json().encode())
            os.replace(part.name, self._folder / f"{key}.json")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"the judge's answers can't be kept in {self._folder}: {error.strerror}; set {VARIABLE} to a folder that "
            "can be written"
        )
