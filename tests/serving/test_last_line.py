"""The server's last line says in one line why it ended: it is what KServe, Argo CD and `ostinato status` can show."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.command_line import ROOT

from delivery.models.folder import model_digest
from delivery.serving.server.server import DIGEST_VARIABLE

RECORDED = ROOT / "tests" / "recorded" / "kubernetes" / "kserve-real-server-refuses-the-digest-with-the-log.yaml"
TEST_S = 60


def lines_of_a_start(folder: Path, *arguments: str, **environment: str) -> list[str]:
    """What the server writes as the pod starts it; it must end by itself and fail."""
    command = [sys.executable, "-m", "delivery.serving.server.server", f"--model_dir={folder}", "--model_name=amount"]
    ended = subprocess.run(
        [*command, *(arguments or ("--http_port=0",))],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TEST_S,
        cwd=ROOT,
    )
    assert ended.returncode != 0
    return ended.stdout.splitlines()


def recorded_failure() -> dict[str, Any]:
    return yaml.safe_load(RECORDED.read_text())["status"]["modelStatus"]["lastFailureInfo"]


def test_what_kserve_shows_of_a_refused_digest_is_the_servers_last_line(regressor: Path) -> None:
    """The recording is of a real cluster; folder and digests are its own."""
    demanded = "sha256:" + "b" * 64
    (line,) = lines_of_a_start(regressor, **{DIGEST_VARIABLE: demanded})
    recorded = recorded_failure()["message"].strip()
    digest = re.search(r"has the digest (\S+),", recorded)
    assert digest
    assert line == recorded.replace("/mnt/models", str(regressor)).replace(digest[1], model_digest(regressor))


@pytest.mark.parametrize("missing", ["MLmodel", "model.skops"])
def test_a_broken_folder_is_the_last_line(regressor: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(regressor, tmp_path / "model")
    (folder / missing).unlink()
    assert lines_of_a_start(folder)[-1].startswith("error: ")
    assert f"{missing} is missing" in lines_of_a_start(folder)[-1]


def test_an_error_that_nobody_expected_is_the_last_line_after_its_traceback(regressor: Path, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise RuntimeError('no event loop\\nfor this machine')\n")
    lines = lines_of_a_start(regressor, PYTHONPATH=f"{tmp_path}")
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "error: the server ended: RuntimeError: no event loop for this machine"


def test_a_port_that_is_taken_is_the_last_line(regressor: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert lines_of_a_start(regressor, f"--http_port={port}")[-1] == (
            f"error: nothing could listen on 127.0.0.1, port {port}"
        )
