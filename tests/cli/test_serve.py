"""What is committed can be served: the live model answers over its protocol as it did offline."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import OSTINATO, Finished, environment
from servers import free_port

from components.train.model_folder import load_model

MODEL = "demand-forecaster"
Run = Callable[..., Finished]


def test_the_live_model_answers_the_whole_test_set_as_it_did_offline(workspace: Path, ostinato: Run) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    spec.write_text(spec.read_text().replace("max_p99_ms: 1000", "max_p99_ms: 5000"))
    done = json.loads(ostinato("run", MODEL, "--param", "as_of=2011-12-01", "--json", expect=0).out)
    folder = Path(done["folder"])
    test = pd.read_parquet(folder / "preprocess" / "attempt-1" / "data" / "test.parquet")
    test.to_csv(workspace / "rows.csv", index=False)

    port = free_port()
    command = [str(OSTINATO), "serve", MODEL, "--port", str(port)]
    with subprocess.Popen(
        command, cwd=workspace, env=environment(workspace), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout and server.stdout.readline().startswith(f"{MODEL} version 1 on http://127.0.0.1:{port}")
        curl = server.stdout.readline()
        wait_until_ready(f"http://127.0.0.1:{port}/v2/health/ready", server)
        told = ostinato("predict", MODEL, "rows.csv", "--url", f"http://127.0.0.1:{port}", "--json", expect=0)
        by_curl = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    answers = [row["prediction"] for row in json.loads(told.out)]
    offline = load_model(folder / "train" / "attempt-1" / "candidate").predict(test)
    np.testing.assert_allclose(answers, offline, rtol=1e-9)
    assert json.loads(by_curl)["outputs"][0]["name"] == "predict"


def wait_until_ready(url: str, server: subprocess.Popen[str], tries: int = 300) -> None:
    for _ in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert server.poll() is None, "the server ended"
            try:
                server.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    pytest.fail(f"{url} was not ready")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", MODEL], "is not live yet"),
        (["serve", MODEL, "--version", "7"], "has versions none"),
        (["predict", MODEL, "none.csv"], "does not exist"),
        (["predict", MODEL, "rows.txt"], "only .csv, .json and .parquet"),
    ],
)
def test_what_can_not_be_served_or_asked_is_named(ostinato: Run, arguments: list[str], said: str) -> None:
    assert said in ostinato(*arguments, expect=2).err
