"""A workspace whose settings point at engines that answer on loopback."""

from collections.abc import Callable

import pytest
from harness.command_line import REACHABLE, Finished
from harness.kubeflow.server import KfpServer, kfp

__all__ = ["kfp"]

Run = Callable[..., Finished]


@pytest.fixture
def on_kubeflow(kfp: KfpServer, ostinato: Run) -> Run:
    """Runs the command line with Kubeflow's address and reachable places set."""

    def run(*arguments: str, **extra: object) -> Finished:
        return ostinato(*arguments, **{**REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, **extra})

    return run
