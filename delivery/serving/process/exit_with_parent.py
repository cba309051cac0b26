"""Run a server of others so that it ends with the one who started it: when standard input is closed.

    python exit_with_parent.py PROGRAM ARGUMENTS…

Exit code and output are the server's. Its own children end with it. It imports nothing of the house, so that the
server needs no path to it.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 2.0
"""Between asking the processes to end and ending them."""


def main(command: list[str]) -> int:
    """Returns the server's exit code, when it and its children are gone."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_stdin, args=(server.pid,), daemon=True).start()
    code = server.wait()
    _end(server.pid)
    return code


def _end_with_stdin(group: int) -> None:
    while os.read(0, 4096):
        pass
    _end(group)


def _end(group: int) -> None:
    """End a process group: first asked, then, after the grace, not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, sign)
            end = time.monotonic() + GRACE_S
            while time.monotonic() < end:
                os.killpg(group, 0)
                time.sleep(0.02)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
