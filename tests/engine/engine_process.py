"""An engine in a process of its own for tests that kill it: reads run_package's arguments as JSON from stdin."""

import json
import resource
import sys
from pathlib import Path

from pipelines.backends.local import run_package
from training.errors import OstinatoError


def main() -> None:
    task = json.load(sys.stdin)
    if limit := task.pop("file_limit", 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    folders = {"run_dir": Path(task.pop("run_dir")), "cache_dir": Path(task.pop("cache_dir"))}
    try:
        result = run_package(task.pop("ir"), **folders, **task)
    except OstinatoError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    import kfp

    print(
        json.dumps(
            {name: step.outputs.parameters for name, step in result.steps.items()} | {"kfp": hasattr(kfp, "Client")}
        )
    )


main()
