"""A workspace whose settings point at engines that answer on loopback."""

import os
from collections.abc import Callable

import pytest
from harness.command_line import REACHABLE, Finished
from harness.kubeflow.server import KfpServer, kfp

__all__ = ["kfp"]

Run = Callable[..., Finished]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client leaves MLFLOW_TRACKING_URI in the environment of the process, and it is a setting."""
    for name in list(os.environ):
        if name.startswith(("OSTINATO_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.fixture
def on_kubeflow(kfp: KfpServer, ostinato: Run) -> Run:
    """Runs the command line with Kubeflow's address and reachable places set."""

    def run(*arguments: str, **extra: object) -> Finished:
        return ostinato(*arguments, **{**REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, **extra})

    return run
