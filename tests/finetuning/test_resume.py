"""A training that was killed goes on; one that is another's does not."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.finetuning.conftest import SCRIPT, Conversations, log_of, same_weights, wait_for
from training.errors import OstinatoError
from training.finetuning import FineTuning, fine_tune
from training.finetuning.place import alone, place_for

OPTIONS: dict[str, Any] = {
    "method": "full",
    "learning_rate": 1e-3,
    "batch_size": 4,
    "max_steps": 40,
    "max_length": 256,
    "precision": "fp32",
    "checkpoint_every": 4,
    "eval_share": 0.2,
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, base: Path, conversations: Conversations) -> Path:
    return fine_tune(conversations, base, FineTuning(**OPTIONS), 0, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, base: Path, conversations: Conversations) -> Path:
    """The work folder of the same training, killed by SIGKILL after its second checkpoint."""
    from tests.finetuning import conftest

    work = tmp_path_factory.mktemp("killed")
    begin = conftest.start.__wrapped__(base, conversations)  # The fixture's own function: this one lives longer.
    child = next(begin)(work, OPTIONS)
    wait_for(lambda: list(work.glob("*/checkpoints/checkpoint-8/complete.json")) or child.poll(), "a checkpoint")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not list(work.glob("*/model"))
    next(begin, None)
    return work


@pytest.fixture
def work(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on from."""
    return shutil.copytree(killed, tmp_path / "work")


def checkpoints(work: Path) -> list[Path]:
    found = work.glob("*/checkpoints/checkpoint-*")
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def test_after_a_kill_loss_curve_and_weights_are_those_of_an_uninterrupted_training(
    work: Path, uninterrupted: Path, base: Path, conversations: Conversations, capsys: pytest.CaptureFixture[str]
) -> None:
    result = fine_tune(conversations, base, FineTuning(**OPTIONS), 0, work)
    said = capsys.readouterr().out
    assert "going on from checkpoint-" in said and "step 1/40" not in said
    assert log_of(result)["loss"] == log_of(uninterrupted)["loss"]
    assert log_of(result)["held_out_loss"] == log_of(uninterrupted)["held_out_loss"]
    assert log_of(result)["tokens"] == log_of(uninterrupted)["tokens"]
    assert same_weights(result, uninterrupted)
    assert not (result.parent / "checkpoints").exists()


@pytest.mark.parametrize("damage", ["unsealed", "cut"])
def test_a_half_written_checkpoint_is_ignored(
    work: Path,
    uninterrupted: Path,
    base: Path,
    conversations: Conversations,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    *_, before, last = checkpoints(work) if len(checkpoints(work)) > 1 else [None, *checkpoints(work)]
    if damage == "unsealed":
        (last / "complete.json").unlink()
    else:
        path = last / "optimizer.pt"
        path.write_bytes(path.read_bytes()[:-1000])
    result = fine_tune(conversations, base, FineTuning(**OPTIONS), 0, work)
    said = capsys.readouterr().out
    assert f"ignoring {last.name}" in said
    assert ("going on from " + before.name in said) if before else ("step 1/40" in said)
    assert same_weights(result, uninterrupted)


@pytest.mark.parametrize("change", ["options", "seed", "data", "base"])
def test_a_checkpoint_of_another_training_is_not_used(
    work: Path,
    tmp_path: Path,
    base: Path,
    conversations: Conversations,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    options, seed = FineTuning(**{**OPTIONS, "max_steps": 1}), 0
    if change == "options":
        options = FineTuning(**{**OPTIONS, "max_steps": 1, "learning_rate": 2e-3})
    else:
        # The same options as the checkpoint's, but for something else.
        here = place_for(conversations, base, options, seed, "fp32", work)
        checkpoints(work)[0].parents[1].rename(here.folder)
    if change == "seed":
        seed = 1
    if change == "data":
        conversations = [*conversations[:-1], [*conversations[-1][:-1], {"role": "assistant", "content": "Other."}]]
    if change == "base":
        base = shutil.copytree(base, tmp_path / "base")
        config = json.loads((base / "config.json").read_text())
        (base / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    fine_tune(conversations, base, options, seed, work)
    said = capsys.readouterr().out
    assert "going on" not in said and "step 1/1" in said


def test_two_trainings_of_the_same_at_once_are_refused(
    tmp_path: Path, base: Path, conversations: Conversations
) -> None:
    options = FineTuning(**OPTIONS)
    place = place_for(conversations, base, options, 0, "fp32", tmp_path)
    with alone(place), pytest.raises(OstinatoError, match="another process trains the same model in"):
        fine_tune(conversations, base, options, 0, tmp_path)


QUIET = (
    """
import sys
def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("NETWORK", event, arguments, flush=True)
sys.addaudithook(audit)
"""
    + SCRIPT
)


def test_a_training_asks_no_network_and_writes_nothing_outside_its_folder(tmp_path: Path, start: Start) -> None:
    home, work, temporary = (tmp_path / name for name in ("home", "work", "tmp"))
    for folder in (home, work, temporary):
        folder.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(temporary), "HF_HUB_OFFLINE": "", "HF_HOME": "", "XDG_CACHE_HOME": ""}
    options = {**OPTIONS, "method": "lora", "max_steps": 2}
    with_mind = {name: value for name, value in places.items() if value}
    child = start(work, options, QUIET, **with_mind, HF_HUB_OFFLINE="0", HF_DATASETS_OFFLINE="0")
    said, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors[-3000:]
    assert "NETWORK" not in said
    assert [os.fspath(path) for path in (*home.rglob("*"), *temporary.rglob("*"))] == []
