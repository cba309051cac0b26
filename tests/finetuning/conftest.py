"""A small base model, conversations of mixed length, and what the tests look at afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.tiny_models import tiny_model

ROOT = Path(__file__).parents[2]
Conversations = list[list[dict[str, str]]]


def asked(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def sums(count: int) -> Conversations:
    """Questions and answers of mixed length; every third conversation has two answers."""
    made = []
    for i in range(count):
        turns = asked(f"What is {i} plus {i % 7}?" + " Please." * (i % 6), f"It is {i + i % 7}." * (1 + i % 4))
        made.append(turns + asked("Sure?", "Yes, quite.") if i % 3 == 0 else turns)
    return made


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def conversations() -> Conversations:
    return sums(24)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, conversations: Conversations) -> Path:
    texts = [message["content"] for one in conversations for message in one]
    return tiny_model(tmp_path_factory.mktemp("base") / "model", texts)


def weights(folder: Path) -> dict[str, Any]:
    """All tensors of a folder's safetensors files, by name."""
    from safetensors.torch import load_file

    return {name: one for path in sorted(folder.glob("*.safetensors")) for name, one in load_file(path).items()}


def same_weights(first: Path, second: Path) -> bool:
    """Bit for bit."""
    mine, other = weights(first), weights(second)
    return mine.keys() == other.keys() and all(mine[name].equal(other[name]) for name in mine)


def log_of(result: Path) -> dict[str, Any]:
    return json.loads((result.parent / "training_log.json").read_text(encoding="utf-8"))


SCRIPT = """
import json, sys
from pathlib import Path
from training.finetuning import FineTuning, fine_tune
given = json.loads(sys.argv[1])
print(fine_tune(given["conversations"], Path(given["base"]), FineTuning(**given["options"]), 0, Path(given["work"])))
"""


@pytest.fixture
def start(base: Path, conversations: Conversations) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a training in a process of its own: ``start(work, {"max_steps": 4}, RANK="0")``."""
    started: list[subprocess.Popen[str]] = []

    def run(work: Path, options: dict[str, Any], script: str = SCRIPT, **extra: str) -> subprocess.Popen[str]:
        given = {"conversations": conversations, "base": str(base), "options": options, "work": str(work)}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **extra}
        child = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(given)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield run
    for child in started:
        child.kill()
        child.communicate()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """What the condition returns once it is true. Fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)
    return found
