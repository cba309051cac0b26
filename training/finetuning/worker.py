"""One of the processes that torchrun starts: ``python -m training.finetuning.worker JOB``."""

import fcntl
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from training.errors import InputError, OstinatoError
from training.finetuning.place import Place
from training.finetuning.training_run import train_here
from training.spec.fine_tuning import FineTuning


def main(job: Path) -> int:
    """Train as the job file says; 0, or 1 with the reason in `error-RANK.json` beside it."""
    document = json.loads(job.read_text(encoding="utf-8"))
    place = Place(Path(document["folder"]), document["result_name"])
    threading.Thread(target=_end_with_launcher, args=[place.folder / "lock"], daemon=True).start()
    try:
        options = FineTuning.model_validate(document["options"])
        train_here(document["conversations"], Path(document["base"]), options, document["seed"], place)
    except InputError as error:
        return _told(place, "input", str(error))
    except OstinatoError as error:
        return _told(place, "run", str(error))
    except Exception as error:  # the boundary of the process
        traceback.print_exc()
        return _told(place, "other", f"{type(error).__name__}: {error}")
    return 0


def _told(place: Place, kind: str, message: str) -> int:
    rank = os.environ["RANK"]
    path = place.folder / f"error-{rank}.json"
    path.write_text(
        json.dumps({"rank": int(rank), "kind": kind, "message": message, "time": time.time()}), encoding="utf-8"
    )
    return 1


def _end_with_launcher(lock: Path) -> None:
    """The launcher holds the lock while it lives; a worker that gets it was left behind, and ends."""
    with lock.open("r") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        os._exit(1)


if __name__ == "__main__":
    # A partner that waits for this process would keep the interpreter from ending.
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
