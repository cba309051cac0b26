"""From an event to an engine's run: the entry point in a process of its own, before Kubeflow's API on loopback."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from harness.command_line import OSTINATO, REACHABLE, environment
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault
from harness.servers import free_port, wait_until_ready

from components.drift.event import signed

SECRET = "s3cret-of-the-watch"
MODEL = "demand-forecaster"


@pytest.fixture
def entry_point(kfp: KfpServer, workspace: Path) -> Iterator[str]:
    port = free_port()
    places = {"OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, "OSTINATO_EVENTS_SECRET": SECRET}
    env = environment(workspace, **REACHABLE, **places)
    command = [str(OSTINATO), "events", "serve", "--port", str(port), "--set", "events.backend=kubeflow"]
    with subprocess.Popen(command, cwd=workspace, env=env, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def drift(url: str, window: str, secret: str = SECRET) -> requests.Response:
    body = json.dumps({"kind": "drift", "model": MODEL, "window": window, "version": "3"}).encode()
    return requests.post(
        f"{url}/events/drift", body, headers=signed(secret.encode(), body, int(time.time())), timeout=60
    )


def test_a_drift_that_is_told_by_many_at_once_is_one_run_and_the_next_one_another(
    entry_point: str, kfp: KfpServer
) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: drift(entry_point, "2026-11-02").json()["runs"][0], range(6)))
    assert [answer["new"] for answer in answers].count(True) == 1
    assert len({answer["run"] for answer in answers}) == 1 == len(kfp.state.runs)
    assert kfp.state.only_run()["display_name"] == answers[0]["run"]
    assert drift(entry_point, "2026-11-09").json()["runs"][0]["new"]
    assert len(kfp.state.runs) == 2


def test_while_the_engine_is_down_the_sender_is_asked_to_come_again(entry_point: str, kfp: KfpServer) -> None:
    with kfp.lock:
        kfp.faults.append(Fault("GET", "", status=503, times=1000))
    down = drift(entry_point, "2026-11-02")
    assert down.status_code == 503 and down.headers["Retry-After"]
    with kfp.lock:
        kfp.faults.clear()
    assert drift(entry_point, "2026-11-02").json()["runs"][0]["new"]


def test_who_does_not_know_the_secret_starts_nothing(entry_point: str, kfp: KfpServer) -> None:
    assert drift(entry_point, "2026-11-02", "guessed").status_code == 401
    assert not kfp.state.runs
