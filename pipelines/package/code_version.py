"""Which commit of this project is running."""

import os
import subprocess
from pathlib import Path

CODE_VERSION = "OSTINATO_CODE_VERSION"
"""Variable that the project's image holds: there is no git history in it."""


def code_version(root: Path) -> str:
    """The commit of the checkout, with ``-dirty`` where files that it tracks differ; outside git that of the image, or
    ``unknown``."""
    otherwise = os.environ.get(CODE_VERSION) or "unknown"
    try:
        process = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return otherwise
    return process.stdout.strip() if process.returncode == 0 else otherwise
