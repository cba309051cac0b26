"""The command that starts a runtime on this machine, as its entry in the table says."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from delivery.serving.process import exit_with_parent
from delivery.serving.runtime_table import OWN_TABLE, Argument, Runtime, Start
from training.errors import InputError, OstinatoError

Places = Mapping[str, str | None]
"""What is filled in, by place; an argument with a place that is None is left out."""


def command_of(name: str, runtime: Runtime, places: Places) -> tuple[list[str], dict[str, str]]:
    """Program with arguments, and the environment, that start a runtime here.

    places: values of model_dir, model_name, empty_dir, http_port, grpc_port and metrics_port, and those of
    :func:`delivery.serving.process.language_arguments.language_places` for a language model. Raises OstinatoError if
    it can't be started on this machine, and says how it could; InputError if its entry names a place that there is not.
    """
    start = runtime.start
    if start is None:
        raise OstinatoError(
            f"{name} can't be started on this machine: its entry has no start. Give one in {OWN_TABLE} beside "
            "training/, with the command of its server, to prove that it serves the model"
        )
    own = _own_python(start)
    is_here = _is_here(start, own)
    if not is_here and not start.stand_in:
        variable = start.python_variable
        fix = f"name a Python that has it with {variable}" if variable else f"there is no {_first(start)}; install it"
        raise OstinatoError(f"{name} can't be started on this machine: {fix}")
    filled_in = {"python": sys.executable, "own_python": own, **places}
    command = _filled(name, start.command if is_here else start.stand_in, filled_in)
    environment = _filled(name, tuple(start.environment.values()), filled_in)
    added = dict(zip(start.environment, environment, strict=True))
    if not start.ends_with_stdin:
        command = [sys.executable, exit_with_parent.__file__, *command]
    return command, {**os.environ, **added}


def path_of(name: str, path: str, places: Places) -> str:
    """A path of the server with its places filled in. Raises InputError for a place that there is not."""
    return _filled(name, (path,), places)[0]


def _own_python(start: Start) -> str | None:
    """The Python of the runtime's own environment, where there is one. Raises InputError if what is named is none."""
    named = os.environ.get(start.python_variable) if start.python_variable else None
    if named and shutil.which(named) is None:
        raise InputError(f"{start.python_variable} is {named!r}, which is no program; name a Python")
    program = shutil.which(start.python_beside) if start.python_beside else None
    return named or (program and shutil.which("python3", path=str(Path(program).parent)))


def _is_here(start: Start, own: str | None) -> bool:
    """Whether the program of the command is on this machine."""
    first = _first(start)
    if first == "{own_python}":
        return own is not None
    return first == "{python}" or shutil.which(first) is not None


def _first(start: Start) -> str:
    first = start.command[0]
    return first if isinstance(first, str) else first[0]


def _filled(name: str, arguments: Sequence[Argument], places: Places) -> list[str]:
    texts: list[str] = []
    for argument in arguments:
        group = (argument,) if isinstance(argument, str) else argument
        try:
            named = {field for text in group for _, field, _, _ in Formatter().parse(text) if field is not None}
            if all(places[field] is not None for field in named):
                texts += [text.format_map(places) for text in group]
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(f"{name}.start: {error} is no place to fill in; known: {', '.join(places)}") from error
    return texts
