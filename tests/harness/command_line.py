"""The command line, as a user runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OSTINATO = Path(sys.executable).parent / "ostinato"
IMAGE = "registry.example.org/ostinato@sha256:" + "1" * 64
REACHABLE = {
    "OSTINATO_TRACKING_URI": "https://mlflow.example.org",
    "OSTINATO_MANIFESTS_REMOTE": "https://git.example.org/fleet/manifests.git",
    "OSTINATO_IMAGE": IMAGE,
}
"""What steps on a backend can reach."""


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end."""

    code: int
    out: str
    err: str


def environment(workspace: Path, **extra: str) -> dict[str, str]:
    """The environment of a user who has set nothing of ours."""
    ours = ("OSTINATO_", "MLFLOW_", "GIT_AUTHOR", "GIT_COMMITTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # Two tests at once on two cores: OpenMP threads that wait for each other make a fit ten times slower.
    return {**kept, "OSTINATO_WORKSPACE": str(workspace), "COLUMNS": "120", "OMP_NUM_THREADS": "1", **extra}


def run_ostinato(root: Path, *arguments: str, timeout: float = 180, **extra: str) -> Finished:
    """Run the command line in a workspace to its end."""
    done = subprocess.run(
        [str(OSTINATO), *arguments],
        cwd=root,
        env=environment(root, **extra),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Finished(done.returncode, done.stdout, done.stderr)
