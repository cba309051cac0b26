"""One model version in a process of its own: it takes over an address, and gives it up without a failed request.

The process that starts replicas keeps the listening socket open, so its queue of connections outlives every replica.
"""

import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from delivery.serving.clients.predict import ServedModel
from delivery.serving.process.process import START_S
from training.errors import OstinatoError

if TYPE_CHECKING:
    import pandas as pd

RETIRE_S = 45.0
"""How long a replica may take to answer what it has, the wait for idle connections included."""
STOP_S = 5.0


class Replica:
    """A server process over a model folder; it starts when this is made, and ends with the `with` block or when this
    process is killed. What it writes goes to standard error from the moment that it takes over."""

    def __init__(self, model_folder: Path, name: str) -> None:
        self._name = name
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_S)
        command = [sys.executable, "-m", "delivery.serving.server.server", "--model_dir", str(model_folder)]
        command += ["--model_name", name, "--listen_on_stdin"]
        with theirs:
            # In a session of its own, Ctrl-C reaches the parent only, which ends the replica in good order.
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        self._output: deque[str] = deque(maxlen=30)
        self._serves = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def prove(self, rows: "pd.DataFrame | None") -> None:
        """Return when it has answered an inference of the first row, or described its inputs if there are no rows.

        Raises OstinatoError with what the process wrote if it ends, refuses, or takes longer than 60 s.
        """
        try:
            with socket.create_server(("127.0.0.1", 0)) as private:
                url = f"http://127.0.0.1:{private.getsockname()[1]}"
                self._hand(private)
            # Only the replica holds the socket now: if it ends before it answers, the connection below ends too.
            model = ServedModel(url, self._name, timeout_s=START_S)
            try:
                if rows is not None:
                    model.infer(rows.head(1))
            finally:
                model.close()
            self._control.recv(1)
        except (OstinatoError, OSError) as error:
            raise OstinatoError(self._why(error)) from error

    def take_over(self, listener: socket.socket) -> None:
        """Serve on the listening socket from now on. Raises OstinatoError if the process has ended."""
        try:
            self._hand(listener)
            if not self._control.recv(1):
                raise ConnectionResetError("the process has ended")
        except OSError as error:
            raise OstinatoError(self._why(error)) from error
        self._serves.set()
        sys.stderr.write("".join(self._output))

    def retire(self) -> None:
        """Accept no more, answer every request that has come, then end. Returns when the process is gone."""
        self._control.close()
        try:
            self.process.wait(RETIRE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """End within seconds: answer what is being computed, and close every connection."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._control.close()
        self._reader.join(STOP_S)

    def _hand(self, listener: socket.socket) -> None:
        socket.send_fds(self._control, [b"\n"], [listener.fileno()])

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if self._serves.is_set():
                    sys.stderr.write(line)
                else:
                    self._output.append(line)

    def _why(self, error: Exception) -> str:
        """What kept it from answering: its own last words if it ended, else the error."""
        try:
            code = self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return f"it does not answer: {error}"
        self._reader.join(STOP_S)
        output = "".join(self._output).strip()[-2000:] or "it wrote nothing"
        return f"its server ended with exit code {code}: {output}"
