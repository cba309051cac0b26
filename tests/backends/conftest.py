"""A workspace whose settings point at engines that answer on loopback."""

from collections.abc import Callable, Iterator

import pytest
from conftest import Finished
from kubeflow.kfp_server import KfpServer

Run = Callable[..., Finished]
IMAGE = "registry.example.org/ostinato@sha256:" + "1" * 64
REACHABLE = {
    "OSTINATO_TRACKING_URI": "https://mlflow.example.org",
    "OSTINATO_MANIFESTS_REMOTE": "https://git.example.org/fleet/manifests.git",
    "OSTINATO_IMAGE": IMAGE,
}
"""What steps on an engine can reach."""


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def on_kubeflow(kfp: KfpServer, ostinato: Run) -> Run:
    """Runs the command line with Kubeflow's address and reachable places set."""

    def run(*arguments: str, **extra: object) -> Finished:
        return ostinato(*arguments, **{**REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, **extra})

    return run
