"""Secrets of the environment: a variable, or a mounted file that a variable names."""

import os
from pathlib import Path

from training.errors import InputError


def secret(name: str) -> str:
    """The value of a variable or of the file that its ``_FILE`` names; "" if neither is set.

    Raises InputError if both are set, or the file can't be read.
    """
    value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and file:
        raise InputError(f"both {name} and {name}_FILE are set; set one of them")
    if not file:
        return (value or "").strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}_FILE is {file!r}, which can't be read: {error}") from error
