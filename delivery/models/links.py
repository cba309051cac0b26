"""The same bytes at another place, without reading them where the disk allows it."""

import os
import shutil
from pathlib import Path

WORTH_IT = 1 << 20
"""Bytes from which a file is linked: a smaller one is copied as fast, and may then be edited in place."""


def link_or_copy(file: str, target: str) -> str:
    """Make ``target`` another name of a big file's bytes; copy it where it is small or lies on another disk.

    For files that nobody edits in place. The signature is that of ``shutil.copytree``'s copy_function.
    """
    source = Path(file).resolve()
    if source.stat().st_size >= WORTH_IT:
        try:
            os.link(source, target)
            return target
        except OSError:
            print(f"{source.name} can't be linked here, and is copied", flush=True)
    shutil.copyfile(source, target)
    return target
