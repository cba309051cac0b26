"""A real language model behind a real OpenAI-compatible server: too small to judge, so the check stays undecided."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from judge.test_judge import REFERENCE, ask, better
from tiny_models import CHAT_TEMPLATE, tiny_model

from components.evaluate.judge.prompt import INSTRUCTIONS

START_S = 90


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URL and model name of `transformers serve` over an untrained model."""
    # An untrained model with tied embeddings says its last token for ever: a word, rather than the end of a line.
    template = CHAT_TEMPLATE.replace("assistant\n{% endif", "assistant{% endif")
    folder = tiny_model(tmp_path / "model", [INSTRUCTIONS, REFERENCE], window=4096, chat_template=template)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    program = Path(sys.executable).parent / "transformers"
    command = [str(program), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        )
        try:
            until = time.monotonic() + START_S
            while not listens(port):
                assert process.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1", str(folder)
        finally:
            process.terminate()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_model_that_talks_nonsense_leaves_the_check_undecided(served: tuple[str, str], tmp_path: Path) -> None:
    url, model = served
    report = ask(url, [better()], tmp_path, model=model)
    assert (report.questions, report.unanswered, report.calls, report.win_rate) == (1, 1, 4, None)
    assert "1 of 1 questions have no usable reply" in report.failure
    assert "it replied '" in report.failure, "the model was asked, and it is its own words that are no verdict"
