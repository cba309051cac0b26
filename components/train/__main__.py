"""`python -m components.train`: the train step as a job of its own, on one or several machines.

    python -m components.train llm-qa --data gs://bucket/run/data --out gs://bucket/run/model --processes 2

The data folder is what preprocess wrote; the model folder is what the step `train` would have written. Every process
reads the data, and the first one alone writes the model folder.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.train.workers import is_first, is_worker, torchrun_arguments
from training.errors import InputError, OstinatoError
from training.folder import model_spec, workspace_root


def main(arguments: Sequence[str]) -> int:
    """The exit code; started by nobody else, it starts itself again under torchrun where several processes are due."""
    parser = argparse.ArgumentParser(prog="python -m components.train")
    parser.add_argument("model", help="name of the model, whose folder is in this image")
    parser.add_argument("--data", required=True, help="folder or URI of what preprocess wrote")
    parser.add_argument("--out", required=True, help="folder or URI for the model folder")
    parser.add_argument("--processes", type=int, default=1, help="of each machine: its accelerators")
    parser.add_argument("--spec-digest", default="", help="of the spec that the job was compiled from")
    given = parser.parse_args(arguments)
    try:
        if not is_worker(os.environ):
            placed = torchrun_arguments(os.environ, given.processes)
            if placed:
                return _under_torchrun(placed, arguments)
        run(given.model, given.data, given.out, given.spec_digest)
    except OstinatoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(model: str, data: str, out: str, spec_digest: str = "") -> None:
    """Train in this process, which may be one of several. Raises what the train step raises, InputError for another
    spec than ``spec_digest`` and OstinatoError for a store that can't be reached."""
    from components.train.steps import train
    from delivery.serving.runtimes import export_of
    from delivery.stores.transfer import fetched, upload_folder

    root = workspace_root()
    spec = model_spec(root, model)
    if spec_digest and spec.digest() != spec_digest:
        raise InputError(
            f"the image has another spec of {model} ({spec.digest()}) than the job was compiled from ({spec_digest}); "
            "build the image again, or compile the job again"
        )
    with tempfile.TemporaryDirectory(prefix="ostinato-train-") as scratch:
        folder, made = fetched(data, Path(scratch) / "data"), Path(scratch) / "model"
        trained = train(
            spec.name,
            spec.task,
            spec.data.canonical_json(),
            spec.training.canonical_json(),
            folder,
            made,
            export_of(spec, root),
        )
        if is_first(os.environ):
            upload_folder(made, out)
            print(f"wrote {out} with digest {trained.digest}")


def _under_torchrun(placed: list[str], arguments: Sequence[str]) -> int:
    """This machine's processes, to their end; the exit code is that of the first one that failed."""
    try:
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import main as torchrun
    except ImportError as error:
        raise InputError("several processes train with torch; install ostinato[llm] (make llm)") from error
    try:
        torchrun([*placed, "-m", "components.train", *arguments])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"error: process {rank} ended with exit code {failure.exitcode}", file=sys.stderr)
        return max(failure.exitcode, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
