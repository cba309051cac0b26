"""KServe's own serving runtimes: which image, port, arguments and probes a model's container is laid over.

They are data, ``stock_runtimes.yaml`` beside this file, as the release of KServe named there ships them. KServe lays
the container of an InferenceService over that of its runtime, and appends its arguments (MergeRuntimeContainers in
pkg/controller/v1beta1/inferenceservice/utils/utils.go).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from delivery.kserve.documents import Document, from_bytes

DATA = Path(__file__).with_name("stock_runtimes.yaml")
HTTP_PORT = 8080
"""That KServe sends requests to where a container names no port (InferenceServiceDefaultHttpPort, constants.go)."""
SERVICE_NAME = "{{.Name}}"
"""In a runtime's arguments: the name of the InferenceService."""


@cache
def stock_runtimes() -> Mapping[str, Document]:
    """``spec`` of each ClusterServingRuntime by its name."""
    return {document["metadata"]["name"]: document["spec"] for document in from_bytes(DATA.read_bytes())}


def stock_container(runtime: str) -> Document:
    """The model's container as the runtime has it; {} for a runtime that is not KServe's own."""
    runtimes = stock_runtimes()
    return runtimes[runtime]["containers"][0] if runtime in runtimes else {}


def stock_arguments(runtime: str, service: str) -> list[str]:
    """What the runtime itself tells the server of the InferenceService ``service``."""
    return [argument.replace(SERVICE_NAME, service) for argument in stock_container(runtime).get("args", [])]
