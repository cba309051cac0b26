"""The runtime ``ostinato-mlflow``: KServe's Python server over one MLflow model folder.

    python -m delivery.serving.server.server --model_dir DIR --model_name NAME --http_port P [--grpc_port P] [--host H]

Open Inference Protocol V2 over REST and gRPC, and V1; liveness, readiness, metadata and Prometheus metrics are the
``kserve`` package's. The ports open when the model is loaded, so ready means loaded. It never unloads its model at a
caller's wish, and never reads a pickle.
"""

import argparse
import gc
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from delivery.models.folder import load_model, model_digest
from delivery.serving.server.memory_budget import MemoryBudget, measured_budget, parse_budget
from delivery.serving.server.signature import read_signature
from training.errors import OstinatoError

if TYPE_CHECKING:
    from kserve import ModelServer

    from delivery.serving.server.folder_model import FolderModel

DIGEST_VARIABLE = "OSTINATO_MODEL_DIGEST"
"""The environment variable that says which model folder may be served. Manifests set it."""
MAX_BODY_BYTES = 64 * 2**20
"""Of a REST request. A gRPC message may have 8 MiB, the kserve package's bound."""
LINK_S = 60.0
"""How long files that are not there yet are waited for; loading has the rest of the startup probe's two minutes."""


def main() -> int:
    """Serve until the process is told to stop; returns the exit code.

    Whatever ends it, the last line on standard error says it in one line: KServe, Argo CD and the pod's status show the
    end of what a container wrote.
    """
    sys.excepthook = write_last_line
    given = arguments().parse_args()
    # Before NumPy and scikit-learn are imported: OpenMP reads it once, for every thread of the process. Threads that
    # share one small request wait for each other; replicas and requests are what runs side by side.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    sys.argv = sys.argv[:1]  # the kserve package parses the command line too, when it is imported
    gc.disable()  # what is imported and loaded stays: collecting it again and again is a fifth of a cold start
    if os.environ.get("MODEL_INIT_MODE") == "async":
        await_files(given.model_dir)
    try:
        columns = read_signature(given.model_dir)
        digest = checked_digest(given.model_dir)
        predictor = load_model(given.model_dir)
    except OstinatoError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {given.model_dir} can't be read: {error}", file=sys.stderr)
        return 1
    from delivery.serving.server.folder_model import FolderModel

    model = FolderModel(given.model_name, digest, columns, predictor)
    server = make_server(
        model, given.host, given.http_port, given.grpc_port, given.listen_on_stdin, given.memory_budget
    )
    gc.freeze()
    gc.enable()
    try:
        server.start([model])
    except SystemExit:  # uvicorn's, whose log says why before it says that everything is shut down
        print(f"error: nothing could listen on {given.host}, port {given.http_port}", file=sys.stderr)
        return 1
    return 0


def write_last_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An error that nobody expected: its traceback, then what it was in one line."""
    sys.__excepthook__(kind, error, traceback)
    if issubclass(kind, Exception):
        print(f"error: the server ended: {kind.__name__}: {' '.join(str(error).split())}", file=sys.stderr)


def await_files(model_dir: Path) -> None:
    """Return when the files are there, or after LINK_S. With an image as storage KServe may start the server before it
    links them, and says so by ``MODEL_INIT_MODE=async`` (modelcars; ``ModelInitModeEnv`` in its constants)."""
    end = time.monotonic() + LINK_S
    if not (model_dir / "MLmodel").is_file():
        print(f"waiting for the model's files at {model_dir}", file=sys.stderr, flush=True)
    while not (model_dir / "MLmodel").is_file() and time.monotonic() < end:
        time.sleep(0.1)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.serving.server.server", description="Serve a model folder."
    )
    parser.add_argument("--model_dir", type=Path, required=True, help="the MLflow model folder")
    parser.add_argument("--model_name", required=True, help="its name in the URL")
    parser.add_argument("--http_port", type=int, default=8080)
    parser.add_argument("--grpc_port", type=int, help="no gRPC unless given")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a pod")
    parser.add_argument(
        "--memory_budget",
        type=parse_budget,
        help="memory for the requests in flight, such as 512Mi; by default most of what the container's limit leaves",
    )
    stdin = parser.add_mutually_exclusive_group()
    stdin.add_argument("--stop_with_stdin", action="store_true", help="end when standard input is closed")
    stdin.add_argument(
        "--listen_on_stdin",
        action="store_true",
        help="REST on the listening sockets that come through standard input, a Unix socket, instead of --http_port; "
        "when it is closed, answer what is open and end",
    )
    return parser


def checked_digest(folder: Path) -> str:
    """The digest of the folder. Raises OstinatoError when the environment demands another."""
    digest = model_digest(folder)
    demanded = os.environ.get(DIGEST_VARIABLE, digest)
    if demanded != digest:
        raise OstinatoError(
            f"{folder} has the digest {digest}, and {DIGEST_VARIABLE} demands {demanded}; "
            "the files are not those that were released, so nothing is served"
        )
    return digest


def make_server(
    model: "FolderModel",
    host: str,
    http_port: int,
    grpc_port: int | None,
    listen_on_stdin: bool,
    memory_budget: int | None,
) -> "ModelServer":
    """KServe's server, bound to one address, with refusals where it would fail or obey a stranger."""
    import asyncio
    import logging

    import uvloop
    from fastapi.exceptions import RequestValidationError
    from kserve import ModelServer
    from kserve.errors import InvalidInput, ModelNotFound
    from kserve.logging import configure_logging
    from kserve.model_server import app

    from delivery.serving.server.body_limit import BodyLimit
    from delivery.serving.server.fast_path import FastPath
    from delivery.serving.server.kserve_workarounds import (
        FINISH_S,
        CheckedDataPlane,
        FixedModels,
        HostGRPCServer,
        describe_first_fault_only,
        refuse_invalid,
    )

    describe_first_fault_only()
    configure_logging()
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # the kserve package's, each request
    for noisy in ("kserve", "kserve.trace", "uvicorn.access"):  # four lines a request; the metrics have the times
        logging.getLogger(noisy).setLevel(logging.WARNING)

    def is_ours(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], InvalidInput | ModelNotFound))

    logging.getLogger("kserve").addFilter(is_ours)  # a caller's mistake is answered, not logged with a traceback
    budget = MemoryBudget(memory_budget or measured_budget())
    app.add_middleware(FastPath, model=model)
    app.add_middleware(BodyLimit, most=MAX_BODY_BYTES, budget=budget)
    app.add_exception_handler(RequestValidationError, refuse_invalid)

    class HostServer(ModelServer):
        """The kserve package always listens on every address; both servers are told another before they start."""

        def setup_event_loop(self) -> None:
            super().setup_event_loop()
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for the loop that serves, which is made next

        async def _serve(self) -> None:
            assert self._rest_server is not None
            self._rest_server.config.host = host
            if listen_on_stdin:
                from delivery.serving.server.inherited_sockets import InheritedSocketsServer

                self._rest_server._server = InheritedSocketsServer(self._rest_server.config)
            self._rest_server._add_middlewares = lambda app: None  # logs two timings a request, which the metrics have
            if grpc_port is not None:
                self._grpc_server = HostGRPCServer(
                    host, grpc_port, self.dataplane, self.model_repository_extension, budget
                )
                self.servers.append(self._grpc_server.start(self.max_threads))
            await asyncio.gather(*self.servers)

    server = HostServer(
        http_port=http_port, enable_grpc=False, workers=1, enable_latency_logging=False, grace_period=FINISH_S
    )
    server.dataplane = CheckedDataPlane(model_registry=server.registered_models)
    server.model_repository_extension = FixedModels(model_registry=server.registered_models)
    return server


def _stop_with_stdin() -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
