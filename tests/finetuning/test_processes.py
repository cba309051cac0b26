"""Several processes learn what one does."""

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.finetuning.conftest import SCRIPT, Conversations, log_of, wait_for, weights
from training.errors import InputError, OstinatoError
from training.finetuning import FineTuning, fine_tune

OPTIONS: dict[str, Any] = {
    "method": "full",
    "learning_rate": 1e-3,
    "batch_size": 8,
    "max_steps": 6,
    "max_length": 256,
    "precision": "fp32",
    "scheduler": "constant",
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, base: Path, conversations: Conversations) -> Path:
    return fine_tune(conversations, base, FineTuning(**OPTIONS), 0, tmp_path_factory.mktemp("single"))


def assert_same_training(result: Path, single: Path) -> None:
    import torch

    assert log_of(result)["loss"] == pytest.approx(log_of(single)["loss"], rel=1e-4)
    assert log_of(result)["tokens"] == log_of(single)["tokens"]
    mine, other = weights(result), weights(single)
    assert mine.keys() == other.keys()
    assert all(torch.allclose(mine[name], other[name], atol=2e-3) for name in mine)


def test_two_processes_learn_what_one_does(
    tmp_path: Path, base: Path, conversations: Conversations, single: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    result = fine_tune(conversations, base, FineTuning(**OPTIONS, processes=2), 0, tmp_path)
    assert log_of(result)["processes"] == 2
    assert_same_training(result, single)


def running(work: Path) -> list[int]:
    """Processes that train there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(work).encode() in path.read_bytes() and b"training.finetuning.worker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_sharded_processes_each_hold_a_part_and_go_on_after_a_kill(
    tmp_path: Path,
    base: Path,
    conversations: Conversations,
    single: Path,
    start: Start,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = {**OPTIONS, "processes": 2, "sharding": "fsdp", "checkpoint_every": 2}
    child = start(tmp_path, options)
    wait_for(lambda: list(tmp_path.glob("*/checkpoints/checkpoint-*/complete.json")) or child.poll(), "a checkpoint")
    child.kill()
    wait_for(lambda: not running(tmp_path), "the end of the workers that were left behind", 30)
    assert not list(tmp_path.glob("*/model"))
    result = fine_tune(conversations, base, FineTuning(**options), 0, tmp_path)
    assert "going on from checkpoint-" in capfd.readouterr().out
    assert log_of(result)["parameters_per_process"] * 2 == log_of(single)["parameters_per_process"]
    assert_same_training(result, single)


def test_what_a_worker_meets_is_told_as_one_error(
    tmp_path: Path, base: Path, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    broken = shutil.copytree(base, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OstinatoError, match=r"^process [01] of 2: the loss is nan in step 1.*conversations"):
        fine_tune(conversations, broken, FineTuning(**OPTIONS, processes=2), 0, tmp_path / "work")


ONE_OF_A_LAUNCHER = (
    SCRIPT
    + """
import torch.distributed
left = [path.name for path in Path(given["work"]).rglob("job.json")]
print("world", torch.distributed.get_world_size(), "jobs", left)
"""
)


def test_where_a_launcher_has_started_the_processes_no_other_torchrun_is_started(
    tmp_path: Path, start: Start, single: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    worker = start(tmp_path, {**OPTIONS, "processes": 2}, ONE_OF_A_LAUNCHER, **launcher)
    said, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0 and "world 1 jobs []" in said, errors[-3000:]
    (result,) = tmp_path.glob("*/model")
    assert_same_training(result, single)


def test_a_batch_that_the_launchers_processes_cannot_share_is_refused(
    tmp_path: Path, base: Path, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match=r"batch_size 8 can't be divided into 3 equal parts.*take 6"):
        fine_tune(conversations, base, FineTuning(**OPTIONS), 0, tmp_path)
