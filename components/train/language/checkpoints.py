"""Where a training keeps its checkpoints: a folder that survives a kill, named after what decides the outcome."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.train.workers import is_worker
from training.folder import workspace_root

TRAINING_WORK = "OSTINATO_TRAINING_WORK"


@contextmanager
def training_place(facts: Mapping[str, Any]) -> Iterator[Path]:
    """A folder for the training with these facts, for one process at a time; another one with equal facts waits.
    The processes of one training that torchrun started share it, and leave it where it is.

    It lies under ``OSTINATO_TRAINING_WORK``, or ``.ostinato/training`` of the workspace. What a killed attempt left
    is still there for the next one; when the block ends well, the folder is removed.
    """
    given = os.environ.get(TRAINING_WORK)
    home = Path(given).absolute() if given else workspace_root() / ".ostinato" / "training"
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    place = home / hashlib.sha256(text.encode()).hexdigest()[:32]
    if is_worker(os.environ):
        place.mkdir(parents=True, exist_ok=True)
        yield place
        return
    with _alone(place):
        if any(path.name != "lock" for path in place.iterdir()):
            print(f"going on from what an earlier attempt left in {place}", flush=True)
        yield place
        shutil.rmtree(place)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the lock inside the folder; a process that ends, in whatever way, lets go of it.

    Who held it before may have removed the folder: then the lock that was waited for is no longer the one there.
    """
    while True:
        place.mkdir(parents=True, exist_ok=True)
        try:
            file = (place / "lock").open("w")
        except FileNotFoundError:
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_there(place / "lock", file.fileno()):
                yield
                return


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
