"""The same training in several processes of this machine, by torchrun."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import training
from training.errors import InputError, OstinatoError
from training.finetuning.examples import Conversation
from training.finetuning.place import Place
from training.spec.fine_tuning import FineTuning


def launch(conversations: Sequence[Conversation], base: Path, options: FineTuning, seed: int, place: Place) -> None:
    """Start torchrun, with its rendezvous on a free loopback port, and wait for it.

    The workers' lines go to this process's output. Raises what a worker raised: an InputError or OstinatoError with
    its message, else an OstinatoError with the last line of its traceback.
    """
    job = place.folder / "job.json"
    for old in place.folder.glob("error-*.json"):
        old.unlink()
    document = {
        "conversations": [list(map(dict, conversation)) for conversation in conversations],
        "base": str(base.absolute()),
        "options": options.model_dump(mode="json"),
        "seed": seed,
        "folder": str(place.folder.absolute()),
        "result_name": place.result_name,
    }
    job.write_text(json.dumps(document), encoding="utf-8")
    threads = max(1, (os.cpu_count() or 1) // options.processes)
    path = os.pathsep.join([str(Path(training.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", str(options.processes), "-m", "training.finetuning.worker", str(job)]
    child = subprocess.Popen(
        command, env={"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
    )
    try:
        code = child.wait()
    finally:
        child.terminate()
        child.wait()
        job.unlink()
    if code != 0 or not place.result.is_dir():
        raise _error_of(place, options.processes, code)


def _error_of(place: Place, processes: int, code: int) -> OstinatoError:
    """The error that came first; one that merely lost its partner comes later, or is of no kind of ours."""
    errors = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.folder.glob("error-*.json"))]
    for error in sorted(errors, key=lambda error: (error["kind"] == "other", error["time"])):
        kind = InputError if error["kind"] == "input" else OstinatoError
        return kind(f"process {error['rank']} of {processes}: {error['message']}")
    return OstinatoError(
        f"training in {processes} processes ended with exit code {code}; the lines above say why. A process that was "
        "killed without a word was most often too large: raise gradient_accumulation, or lower batch_size"
    )
