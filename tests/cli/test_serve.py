"""What is committed can be served: the live model answers over its protocol as it did offline."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness.command_line import OSTINATO, ROOT, Finished, environment
from harness.odd_servers import Answer, hangs_up, odd_server, says
from harness.servers import free_port, wait_until_ready

from delivery.models.folder import load_model

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
        example = ostinato(
            "predict", MODEL, str(ROOT / "app" / "example.csv"), "--url", f"http://127.0.0.1:{port}", "--json", expect=0
        )
        forecasts = subprocess.run(
            [sys.executable, "-m", "app", "app/example.csv", "--url", f"http://127.0.0.1:{port}", "--model", MODEL],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    answers = [row["prediction"] for row in json.loads(told.out)]
    offline = load_model(folder / "train" / "attempt-1" / "candidate").predict(test)
    np.testing.assert_allclose(answers, offline, rtol=1e-9)
    assert json.loads(by_curl)["outputs"][0]["name"] == "predict"
    predicted = [row["prediction"] for row in json.loads(example.out)]
    lines = forecasts.splitlines()[1:]
    assert [float(line.split()[-1].replace(",", "")) for line in lines] == [round(one, 1) for one in predicted]
    assert len(lines) == 24


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", MODEL], "is not live yet"),
        (["serve", MODEL], f"ostinato run {MODEL}"),
        (["serve", MODEL, "--version", "7"], f"has versions none; make one with: ostinato run {MODEL}"),
        (["serve", MODEL, "--candidate"], f"has no candidate in the registry; make one with: ostinato run {MODEL}"),
        (["serve", MODEL, "--candidate", "--version", "1"], "--version and --candidate name two versions"),
        (["serve", MODEL, "--follow", "--version", "1"], "leave out --version and --candidate"),
        (["serve", MODEL, "--follow", "--candidate"], "leave out --version and --candidate"),
        (["predict", MODEL, "none.csv"], "does not exist"),
        (["predict", MODEL, "rows.txt"], "only .csv, .json and .parquet"),
    ],
)
def test_what_can_not_be_served_or_asked_is_named(ostinato: Run, arguments: list[str], said: str) -> None:
    assert said in ostinato(*arguments, expect=2).err


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (says(200, "<html>welcome</html>", "text/html"), "a body that is no JSON; is it a V2 server?"),
        (says(404, "not here", "text/html"), "answered 404: not here (no JSON; is it a V2 server?)"),
        (says(404, {"error": "Model not found"}), "answered 404: Model not found"),
        (says(200, {"status": "alive"}), "does not describe its inputs"),
        (says(200, [1, 2]), "does not describe its inputs"),
        (hangs_up, "nobody answers at"),
    ],
)
def test_a_url_that_is_no_v2_server_is_named(ostinato: Run, workspace: Path, described: Answer, said: str) -> None:
    (workspace / "rows.csv").write_text("tmin\n1.5\n")
    with odd_server(described=[described]) as server:
        done = ostinato("predict", MODEL, "rows.csv", "--url", server.url, expect=1)
    assert said in done.err
    assert f"{server.url}/v2/models/{MODEL}" in done.err


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [("127.0.0.1:8080", 2, "can't be asked"), ("http://127.0.0.1:{free}", 1, "is the server running?")],
)
def test_a_url_where_nobody_is_is_named(ostinato: Run, workspace: Path, url: str, code: int, said: str) -> None:
    (workspace / "rows.csv").write_text("tmin\n1.5\n")
    done = ostinato("predict", MODEL, "rows.csv", "--url", url.format(free=free_port()), expect=code)
    assert said in done.err


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("rows.csv", "", "is not readable as csv"),
        ("rows.csv", "tmin,tmax\n", "has no rows"),
        ("rows.json", "{", "is not readable as json"),
        ("rows.parquet", "no parquet", "is not readable as parquet"),
    ],
)
def test_a_file_without_rows_is_named(ostinato: Run, workspace: Path, file: str, content: str, said: str) -> None:
    (workspace / file).write_text(content)
    assert f"'{file}' {said}" in ostinato("predict", MODEL, file, expect=2).err
