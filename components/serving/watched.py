"""Run a server of others so that it ends with the one who started it: when standard input is closed.

    python watched.py PROGRAM ARGUMENTS…

Exit code and output are the server's. Its own children end with it. It imports nothing of the house, so that the
server needs no path to it.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 3.0
"""Between asking a server to end and ending it."""


def main(command: list[str]) -> int:
    """Returns the server's exit code."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    return server.wait()


def _end_with_stdin(server: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(GRACE_S)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
