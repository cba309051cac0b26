"""A run that was stopped, killed or had no room goes on from its first unfinished step, and leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.engine_harness import Engine, Process
from kfp import dsl

from pipelines.backends.local import StepFailed
from training.errors import InputError, OstinatoError

component: Any = dsl.component(base_image="ostinato", install_kfp_package=False)


@component
def note(folder: str, word: str, data: dsl.Output[dsl.Dataset]):
    with open(f"{folder}/ran", "a") as file:
        file.write(word)
    with open(data.path, "w") as file:
        file.write(word)
    data.metadata["word"] = word


@component
def hang(folder: str, data: dsl.Input[dsl.Dataset]) -> str:
    """Waits with a child of its own until it may go on."""
    import os
    import subprocess
    import time

    with open(f"{folder}/ran", "a") as file:
        file.write("h")
    program = subprocess.Popen(["sleep", "600"])
    with open(f"{folder}/pids.tmp", "w") as file:
        file.write(f"{os.getpid()} {program.pid}")
    os.rename(f"{folder}/pids.tmp", f"{folder}/pids")
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.005)
    return open(data.path).read() + data.metadata["word"]


@dsl.pipeline(name="long")
def long(folder: str):
    early = note(folder=folder, word="e").set_caching_options(False)
    held = hang(folder=folder, data=early.outputs["data"]).set_caching_options(False)
    note(folder=folder, word="l").after(held).set_caching_options(False)


@pytest.fixture
def ir(compiled: Callable) -> dict[str, Any]:
    return compiled(long)


@pytest.fixture
def hung(
    ir: dict, process: Callable[..., Process], tmp_path: Path, wait_for: Callable
) -> Iterator[tuple[Process, list[int]]]:
    """An engine whose second step hangs, with the process ids of the step and of the program that it started."""
    engine = process(ir, tmp_path / "run", arguments={"folder": str(tmp_path)})
    wait_for((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    yield engine, pids
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], capture_output=True, check=False)


def finish(engine: Engine, ir: dict, tmp_path: Path) -> None:
    """Resume, and see that only what was not finished ran again, on what was."""
    (tmp_path / "go").touch()
    steps = engine.run(ir, arguments={"folder": str(tmp_path)}, resume=True).steps
    assert [step.origin for step in steps.values()] == ["resume", "run", "run"]
    assert [step.attempt for step in steps.values()] == [1, 2, 1]
    assert steps["hang"].outputs.parameters == {"Output": "ee"}
    assert (tmp_path / "ran").read_text() == "ehhl"
    assert (tmp_path / "run" / "hang" / "attempt-1").is_dir()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "succeeded"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_ctrl_c_and_sigterm_stop_every_process_and_the_run_can_be_resumed(
    number: signal.Signals, status: int, hung: tuple, engine: Engine, ir: dict, tmp_path: Path, alive: Callable
) -> None:
    stopped, pids = hung
    stopped.send(number)
    assert stopped.end()[0] == status
    assert [pid for pid in pids if alive(pid)] == []
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["status"], run["steps"]["note"]["status"]) == ("interrupted", "succeeded")
    assert json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])["detail"] == "interrupted"
    finish(engine, ir, tmp_path)


def test_a_step_dies_with_a_killed_engine_and_the_run_can_be_resumed(
    hung: tuple, engine: Engine, ir: dict, tmp_path: Path, alive: Callable, wait_for: Callable
) -> None:
    killed, pids = hung
    killed.send(signal.SIGKILL)
    assert killed.popen.wait(60) == -signal.SIGKILL
    wait_for(lambda: not alive(pids[0]))
    finish(engine, ir, tmp_path)


def test_a_started_step_dies_with_a_killed_engine_and_so_does_what_it_started(
    ir: dict, process: Callable[..., Process], tmp_path: Path, alive: Callable, wait_for: Callable
) -> None:
    engine = process(ir, tmp_path / "run", arguments={"folder": str(tmp_path)}, start_method="spawn")
    wait_for((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    engine.send(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_a_killed_step_fails_the_run_and_it_can_be_resumed(
    hung: tuple, engine: Engine, ir: dict, tmp_path: Path
) -> None:
    whole, pids = hung
    os.kill(pids[0], signal.SIGKILL)
    code, _, err = whole.end()
    assert code == 1
    assert err.startswith("step hang: it was killed (SIGKILL)") and "Traceback" not in err
    finish(engine, ir, tmp_path)


def test_a_finished_step_runs_again_on_resume_if_its_code_or_inputs_changed(
    engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    ir = compiled(long)
    (tmp_path / "go").touch()
    engine.run(ir, arguments={"folder": str(tmp_path)})
    executor = ir["deploymentSpec"]["executors"]["exec-hang"]["container"]["command"]
    executor[3] = executor[3].replace("600", "60")
    steps = engine.run(ir, arguments={"folder": str(tmp_path)}, resume=True).steps
    assert {name: step.origin for name, step in steps.items()} == {"note": "resume", "hang": "run", "note-2": "resume"}


def test_a_run_folder_in_use_by_another_process_is_refused(
    hung: tuple, engine: Engine, ir: dict, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="another process is at work in"):
        engine.run(ir, arguments={"folder": str(tmp_path)}, resume=True)
    assert hung[0].popen.poll() is None


def test_a_second_run_in_a_folder_needs_resume_and_resume_needs_a_run(
    engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    ir = compiled(writing)
    with pytest.raises(InputError, match="there is no run to resume in"):
        engine.run(ir, arguments={"size": 1}, resume=True)
    engine.run(ir, arguments={"size": 1})
    with pytest.raises(InputError, match=r"there is a run in .* already; resume it"):
        engine.run(ir, arguments={"size": 1})


def test_a_run_folder_that_cannot_be_made_is_refused(engine: Engine, compiled: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to the run folder"):
        engine.run(compiled(writing), "file/run", arguments={"size": 1})


@component
def write(size: int, data: dsl.Output[dsl.Dataset]):
    with open(data.path, "wb") as file:
        file.write(bytes(size))


@dsl.pipeline(name="writing")
def writing(size: int):
    write(size=size).set_caching_options(False)


def test_a_file_that_may_not_grow_is_reported_as_no_room(
    compiled: Callable, process: Callable[..., Process], tmp_path: Path
) -> None:
    arguments = {"size": 1_000_000}
    code, out, err = process(compiled(writing), tmp_path / "run", arguments=arguments, file_limit=100_000).end()
    assert (code, out) == (1, "")
    assert err.startswith("step write: no room left to write: [Errno 27] File too large") and err.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_gives_one_clear_message_and_the_run_goes_on_once_there_is_room(
    small_disk: Path, engine: Engine, compiled: Callable
) -> None:
    ir, ballast = compiled(writing), small_disk / "ballast"
    ballast.write_bytes(bytes(150_000))
    engine.folder = small_disk
    with pytest.raises(OstinatoError, match=r"no room left to write .*free some space") as caught:
        engine.run(ir, arguments={"size": 150_000})
    assert caught.value.exit_code == 1
    (small_disk / "run" / "write" / "attempt-1" / "data").unlink(missing_ok=True)
    ballast.unlink()
    assert engine.run(ir, arguments={"size": 150_000}, resume=True).steps["write"].status == "succeeded"


@pytest.mark.parametrize("room", [0, 4096, 8192, 12288, 16384])
def test_a_disk_that_fills_at_any_moment_of_the_engine_gives_the_same_message(
    room: int, small_disk: Path, engine: Engine, compiled: Callable
) -> None:
    (small_disk / "ballast").write_bytes(bytes(256 * 1024 - room))
    engine.folder = small_disk
    with pytest.raises(OstinatoError, match="no room left to write") as caught:
        engine.run(compiled(writing), arguments={"size": 100_000})
    assert not isinstance(caught.value, StepFailed) or caught.value.step == "write"
