"""Where a training keeps its files: a folder named after everything that decides its outcome."""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from training.errors import OstinatoError
from training.finetuning.examples import Conversation
from training.spec.fine_tuning import FineTuning

COMPLETE = "complete.json"
LOCK_SECONDS = 5


@dataclass(frozen=True)
class Place:
    """Files of one training, inside the caller's work folder."""

    folder: Path
    result_name: str

    @property
    def result(self) -> Path:
        """What was trained; there only once it is whole."""
        return self.folder / self.result_name

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        return self.folder / "training_log.json"


def place_for(
    conversations: Sequence[Conversation], base: Path, options: FineTuning, seed: int, precision: str, work: Path
) -> Place:
    """Equal content (conversations, files of the base model, options, seed, libraries) gives an equal folder."""
    digest = hashlib.sha256()
    facts = [options.canonical_json(), seed, precision, [list(map(dict, turns)) for turns in conversations]]
    facts += [f"{name} {version(name)}" for name in ("torch", "transformers", "trl", "peft", "accelerate")]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for path in sorted(path for path in base.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    name = "adapter" if options.method == "lora" else "model"
    return Place(work / f"{options.method}-{digest.hexdigest()[:16]}", name)


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """While this process trains there. Raises OstinatoError if another one does; its end, of whatever kind, frees it.

    A worker whose launcher was killed needs a moment to notice, hence a few seconds of trying.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    with (place.folder / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OstinatoError(
                        f"another process trains the same model in {place.folder}; wait for its end"
                    ) from None
                time.sleep(0.1)
        yield


def seal(checkpoint: Path) -> None:
    """Note the sizes of all files of a checkpoint that has just been written; without this it does not count."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}
    part = checkpoint / f"{COMPLETE}.part"
    part.write_text(json.dumps(sizes), encoding="utf-8")
    part.replace(checkpoint / COMPLETE)


def last_checkpoint(checkpoints: Path) -> Path | None:
    """The one of the latest step that is whole; half-written ones are removed."""
    whole = []
    for path in checkpoints.glob("checkpoint-*"):
        if _is_whole(path):
            whole.append(path)
        else:
            print(f"ignoring {path.name}, which was not written to its end", flush=True)
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def _is_whole(checkpoint: Path) -> bool:
    note = checkpoint / COMPLETE
    if not note.is_file():
        return False
    sizes = json.loads(note.read_text(encoding="utf-8"))
    return all((checkpoint / name).is_file() and (checkpoint / name).stat().st_size == sizes[name] for name in sizes)
