"""Which commit of this project is running."""

import subprocess
from pathlib import Path


def code_version(root: Path) -> str:
    """The commit of the checkout, with ``-dirty`` where files that it tracks differ; ``unknown`` outside git."""
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"
