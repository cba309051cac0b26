"""`ostinato`: the command line. One clear message for each error, and its exit code."""

import os
import sys
import traceback
from typing import NoReturn

import typer

# Each adds its commands to the application.
from pipelines.commands import backends, building, ci, doctor, drift, releasing, serving, trust  # noqa: F401
from pipelines.commands.base import app
from training.errors import GateRefused, InputError, OstinatoError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it: 128 and the signal's number."""


def main() -> NoReturn:
    """Entry point: one clear message on stderr and the right exit code; the traceback with ``--debug``, anywhere."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = app([argument for argument in sys.argv[1:] if argument != "--debug"], standalone_mode=False) or 0
        if code == INTERRUPTED:  # what Typer makes of KeyboardInterrupt
            tell("stopped; go on with: ostinato run MODEL --resume RUN (the newest in .ostinato/runs)")
    except OstinatoError as error:
        code = tell(
            f"{'refused' if isinstance(error, GateRefused) else 'error'}: {error}", error, debug, error.exit_code
        )
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        code = tell(f"error: {message}", error, debug, OstinatoError.exit_code)
    except typer.TyperException as error:
        code = tell(f"error: {error.format_message()} See: ostinato --help", error, debug, InputError.exit_code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking Evidently and MLflow down in order takes longer than a second, and gives nothing back


def tell(message: str, error: BaseException | None = None, debug: bool = False, code: int = INTERRUPTED) -> int:
    if error and debug:
        traceback.print_exception(error)
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
