"""`ostinato serve --candidate` and `ostinato predict`, against a model that may not be live."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from harness.following import WAIT_S, following
from harness.two_versions import MODEL, Shop

WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "rows.csv": lambda rows, file: rows.to_csv(file, index=False),
    "rows.json": lambda rows, file: file.write_text(
        json.dumps(rows.astype(object).where(rows.notna(), None).to_dict("records"))
    ),
    "rows.parquet": lambda rows, file: rows.to_parquet(file),
}


def test_the_candidate_is_served_and_answers_files_of_every_kind_and_the_printed_curl_line(
    shop: Shop, tmp_path: Path
) -> None:
    expected = shop.answers["2"]  # registered last; version 1 is live
    with following(shop, tmp_path / "log", "--candidate") as served:
        assert f"{MODEL} version 2 on {served.url}" in served.said
        for name, write in WRITERS.items():
            write(shop.rows, tmp_path / name)
            done = shop.ostinato("predict", MODEL, str(tmp_path / name), "--url", served.url, "--json")
            assert done.returncode == 0, done.stderr
            assert [row["prediction"] for row in json.loads(done.stdout)] == pytest.approx(
                expected.tolist(), rel=1e-9
            ), name
        table = shop.ostinato("predict", MODEL, str(tmp_path / "rows.csv"), "--url", served.url).stdout.splitlines()
        assert table[0].split() == [*shop.rows.columns, "prediction"]
        assert [float(line.split()[-1]) for line in table[1:]] == pytest.approx(expected.tolist(), abs=1e-4)
        curl = next(line for line in served.said.splitlines() if line.startswith("curl "))
        answered = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
        assert json.loads(answered)["outputs"][0]["shape"] == [1]


OWN_RUNTIME = """
platform-own:
  about: The project's server under another name, as a platform would build it.
  formats: {mlflow: [skops]}
  protocols: [v2]
  loading_runs_code: false
  start:
    command: ["{python}", -m, delivery.serving.server.server, "--model_dir={model_dir}", "--model_name={model_name}",
              "--http_port={http_port}"]
  sources: [this test]
"""


def test_the_runtime_that_the_manifest_names_is_the_one_that_is_run(shop: Shop, tmp_path: Path) -> None:
    (shop.root / "serving-runtimes.yaml").write_text(OWN_RUNTIME)
    spec = shop.root / "training" / MODEL / "spec.yaml"
    spec.write_text(spec.read_text().replace('"runtime":"ostinato-mlflow"', '"runtime":"platform-own"'))
    with following(shop, tmp_path / "log", "--candidate") as served:
        assert f"{MODEL} version 2 on {served.url}, by platform-own, " in served.said
        curl = next(line for line in served.said.splitlines() if line.startswith("curl "))
        answered = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
        assert json.loads(answered)["outputs"][0]["shape"] == [1]
    assert shop.ostinato("promote", MODEL, "--version", "2").returncode == 0
    done = shop.ostinato("serve", MODEL, "--follow")
    assert done.returncode == 2
    assert "--follow needs the runtime ostinato-mlflow; shop is served by platform-own" in done.stderr


def test_a_port_that_is_taken_is_named(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shop.ostinato("serve", MODEL, "--port", str(port))
    assert done.returncode == 2
    assert f"--port {port} can't be had on this machine (Address already in use); give another" in done.stderr


def test_a_server_that_ends_by_itself_is_told_and_is_a_failure(shop: Shop, tmp_path: Path) -> None:
    with following(shop, tmp_path / "log", "--version=1") as served:
        (replica,) = served.replicas()
        os.kill(replica, signal.SIGKILL)
        assert served.process.wait(WAIT_S) == 1
        assert "error: the server of shop ended with exit code -9" in served.said
