"""Where the log of a pod is had, by the id of its node."""

import base64
import json

from delivery.retry import retrying
from pipelines.backends.kubeflow.api_errors import Failure, is_passing
from pipelines.backends.kubeflow.connection import KubeflowConnection


def log_path(run: str, node: str) -> str:
    """Of the log that Argo keeps where archiveLogs is set, as the manifests of Kubeflow Pipelines do."""
    return f"/apis/v2beta1/runs/{run}/nodes/{node}/artifacts/main-logs:read"


def show_log(endpoint: str, run: str, node: str) -> str:
    """The command that prints the whole log."""
    return f"curl -s '{endpoint.rstrip('/')}{log_path(run, node)}' | jq -r .data | base64 --decode"


def read_log(connection: KubeflowConnection, run: str, node: str) -> str:
    """The end of a pod's log. Raises Failure if it can't be had."""
    ask = retrying(connection.patience, is_passing)
    try:
        return _decoded(ask(connection.tail, log_path(run, node)))
    except Failure:
        # Of a pod that is still there, and where Argo keeps no logs.
        raw = ask(connection.tail, f"/apis/v1alpha1/runs/{run}/nodes/{node}/log")
        if raw.lstrip().startswith((b'{"error_message"', b"<")):  # after a status of 200
            raise Failure(404, "no log") from None
        return raw.decode(errors="replace")


def _decoded(raw: bytes) -> str:
    """The text in ``{"data": "…"}``, whose beginning may be cut off. Raises Failure for something else."""
    head, _, encoded = raw.strip().removesuffix(b"}").rstrip().removesuffix(b'"').rpartition(b'"')
    try:
        if head and json.loads(head + b'""}') != {"data": ""}:
            raise Failure(502, "no log")
        return base64.b64decode(encoded[len(encoded) % 4 :], validate=True).decode(errors="replace")
    except ValueError as error:
        raise Failure(502, "no log") from error
