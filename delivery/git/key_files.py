"""Key files that the configuration names."""

import os
from pathlib import Path

from training.errors import InputError


def check_file(variable: str, name: str) -> Path:
    """The file's absolute path. Raises InputError if it is not there or can't be read."""
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"{variable} is {name!r}, which is no file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{variable} is {name!r}, which can't be read; check its permissions")
    return path


def check_private(variable: str, name: str) -> Path:
    """The same for a private key: a file of ours may not be open to others, as ssh has it. Raises InputError."""
    path = check_file(variable, name)
    about = path.stat()
    if about.st_uid == os.getuid() and about.st_mode & 0o077:
        raise InputError(
            f"{variable} is {name!r}, a private key that others can read (mode {about.st_mode & 0o777:04o}); "
            f"chmod 600 it, or mount its secret with defaultMode: 0400"
        )
    return path
