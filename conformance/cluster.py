"""A cluster that the user named, by kubectl as a user types it, and namespaces of one's own in it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

PROGRAM = "OSTINATO_CONFORMANCE_KUBECTL"
"""Another kubectl than this environment's."""
LABEL = "ostinato.dev/conformance"
WAIT_S = 600.0
"""The longest that a state is waited for: KServe's own deadline of a roll-out."""
LOOK_S = 2.0
Value = TypeVar("Value")
TOOLS = Path(sys.executable).parent


class Failed(AssertionError):
    """A command that ended with another exit code than it should."""


def command(*arguments: str, expect: int | None = 0, given: str | None = None, **extra: str) -> str:
    """What a command of this environment prints; its errors too where another exit code was expected."""
    environment = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200", **extra}
    finished = subprocess.run(arguments, input=given, capture_output=True, text=True, env=environment)
    if expect is not None and finished.returncode != expect:
        raise Failed(f"{' '.join(arguments)} ended with {finished.returncode}\n{finished.stdout}\n{finished.stderr}")
    return finished.stdout + (finished.stderr if expect != 0 else "")


def kubectl(*arguments: str, expect: int | None = 0, given: str | None = None) -> str:
    return command(os.environ.get(PROGRAM, "kubectl"), *arguments, expect=expect, given=given)


def read(kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
    """An object, None where it is not there or its kind is not known."""
    where = ("--namespace", namespace) if namespace else ()
    text = kubectl("get", kind, name, *where, "--output=json", "--ignore-not-found", expect=None)
    return json.loads(text) if text.startswith("{") else None


def apply(content: str, namespace: str = "", *options: str) -> str:
    where = ("--namespace", namespace) if namespace else ()
    return kubectl("apply", "--server-side", *where, *options, "--filename=-", given=content)


def wait_for(what: str, look: Callable[[], Value | None], within_s: float = WAIT_S) -> Value:
    """What a look gives as soon as it gives something."""
    end = time.monotonic() + within_s
    while (value := look()) is None:
        assert time.monotonic() < end, f"{what} did not come within {within_s:.0f} s"
        time.sleep(LOOK_S)
    return value


@contextmanager
def namespace(run: str, suffix: str, *beside: str) -> Iterator[str]:
    """A namespace of this run, with others that begin with its name; removed with all that is in them, always."""
    names = [f"ostinato-{run}-{suffix}{end}" for end in ("", *beside)]
    try:
        for name in names:
            kubectl("create", "namespace", name)
            kubectl("label", "namespace", name, f"{LABEL}={run}")
        yield names[0]
    finally:
        kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false", expect=None)


def image_tag(kind: str, name: str, where: str) -> str:
    """Version of a workload by its first image's tag, "" where it is not there."""
    workload = read(kind, name, where)
    images = [entry["image"] for entry in workload["spec"]["template"]["spec"]["containers"]] if workload else [""]
    own = next((image for image in images if "kserve-controller" in image), images[0])
    return own.partition("@")[0].rpartition(":")[2]


def versions() -> dict[str, str]:
    """What the run met; "" for what is not there."""
    text = kubectl("version", "--output=json", expect=None)
    server = json.loads(text) if text.startswith("{") else {}
    gateway = read("crd", "gateways.gateway.networking.k8s.io") or {"metadata": {}}
    annotations = gateway["metadata"].get("annotations", {})
    return {
        "Kubernetes": server.get("serverVersion", {}).get("gitVersion", ""),
        "KServe": image_tag("deployment", "kserve-controller-manager", "kserve"),
        "Gateway API": annotations.get("gateway.networking.k8s.io/bundle-version", ""),
        "Argo CD": image_tag("deployment", "argocd-applicationset-controller", "argocd"),
        "Kubeflow Pipelines": image_tag("deployment", "ml-pipeline", os.environ.get("KUBEFLOW_NAMESPACE", "kubeflow")),
    }
