"""A Kubernetes API server that knows KServe's services as a real one was recorded to have them.

Every object is one of tests/recorded/kubernetes/kserve-*.yaml. What was not recorded is the list around the objects and
the three refusals: they are in the shapes of Kubernetes' API conventions (List and Status).
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
_LIST = re.compile(r"/apis/(serving\.kserve\.io/\w+)/namespaces/([\w-]+)/(inferenceservices|llminferenceservices)")
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}


def recorded(state: str) -> dict[str, Any]:
    """A service as the real API server gave it."""
    return yaml.safe_load((RECORDED / f"kserve-{state}.yaml").read_text())


@dataclass
class ApiServerStandIn:
    """objects: what it has; missing: resources that it does not know, as without KServe's CRDs."""

    url: str
    objects: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    missing: set[str] = field(default_factory=set[str])
    refuses: int = 0
    """A status with which it answers everything, 0 for none."""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        match = _LIST.fullmatch(path)
        if self.refuses or not match or match[3] in self.missing:
            code = self.refuses or 404
            return code, {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": _REASONS[code],
                "code": code,
            }
        version, namespace, resource = match.groups()
        items = [
            entry
            for entry in self.objects
            if (entry["apiVersion"], entry["metadata"]["namespace"], f"{entry['kind'].lower()}s")
            == (version, namespace, resource)
        ]
        return 200, {"apiVersion": version, "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}

    def kubeconfig(self, folder: Path) -> Path:
        """A file that names it."""
        path = folder / "kubeconfig"
        parts = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand-in",
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}],
            "clusters": [{"name": "stand-in", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
        }
        path.write_text(yaml.safe_dump(parts))
        return path


@contextmanager
def api_server() -> Iterator[ApiServerStandIn]:
    """Run one until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = stand_in.answer(self.path)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in = ApiServerStandIn(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield stand_in
        server.shutdown()
