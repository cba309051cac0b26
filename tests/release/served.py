"""What `ostinato serve` says when the live model's files are here and proven."""

import os
import signal
import subprocess
from pathlib import Path

from harness.command_line import OSTINATO, environment
from harness.servers import free_port


def first_served_line(workspace: Path, *options: str, **settings: str) -> str:
    """The first line that `ostinato serve demand-forecaster` prints, up to the port; it is ended then."""
    command = [str(OSTINATO), "serve", "demand-forecaster", "--port", str(free_port()), *options]
    own = {"env": environment(workspace, **settings), "cwd": workspace, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **own) as process:
        assert process.stdout
        try:
            return process.stdout.readline().partition("://")[0]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
