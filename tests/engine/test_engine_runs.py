"""How the engine runs steps: side by side, again, apart, and what it says when they fail."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.engine_harness import Engine, Process
from kfp import dsl

from pipelines.backends.local import StepFailed
from training.errors import InputError

component: Any = dsl.component(base_image="ostinato", install_kfp_package=False)


@component
def meet(mine: str, other: str):
    import time
    from pathlib import Path

    Path(mine).touch()
    deadline = time.monotonic() + 20
    while not Path(other).exists():
        assert time.monotonic() < deadline, "the other step did not start"
        time.sleep(0.005)


@dsl.pipeline(name="two-at-once")
def two_at_once(folder: str):
    meet(mine=f"{folder}/a", other=f"{folder}/b")
    meet(mine=f"{folder}/b", other=f"{folder}/a")


def test_steps_that_do_not_need_each_other_run_at_the_same_time(
    engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    result = engine.run(compiled(two_at_once), arguments={"folder": str(tmp_path)})
    assert {step.status for step in result.steps.values()} == {"succeeded"}


@component
def try_(marker: str, failures: int, kind: str) -> str:
    from pathlib import Path

    from training import errors

    with Path(marker).open("a") as file:
        file.write("x")
    if len(Path(marker).read_text()) <= failures:
        raise getattr(errors, kind, RuntimeError)("not yet")
    return "done"


@dsl.pipeline(name="again")
def again(marker: str, failures: int, kind: str = ""):
    try_(marker=marker, failures=failures, kind=kind).set_retry(2, backoff_duration="0s")


@dsl.pipeline(name="after-a-second")
def after_a_second(marker: str):
    try_(marker=marker, failures=1, kind="").set_retry(1, backoff_duration="1s")


def test_a_failed_step_is_tried_again_in_a_fresh_folder_and_the_failed_one_is_kept(
    engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    result = engine.run(compiled(again), arguments={"marker": str(tmp_path / "m"), "failures": 2})
    step = result.steps["try"]
    assert (step.attempt, step.outputs.parameters) == (3, {"Output": "done"})
    assert engine.kinds("try").count("step retried") == 2
    for attempt in (1, 2):
        folder = result.run_dir / "try" / f"attempt-{attempt}"
        assert json.loads((folder / "result.json").read_text())["message"] == "RuntimeError: not yet"
        assert f'File "{folder}/ephemeral_component.py"' in (folder / "step.log").read_text()


def test_no_more_than_the_allowed_number_of_retries_is_made(engine: Engine, compiled: Callable, tmp_path: Path) -> None:
    with pytest.raises(StepFailed):
        engine.run(compiled(again), arguments={"marker": str(tmp_path / "m"), "failures": 3})
    assert (tmp_path / "m").read_text() == "xxx"


def test_a_retry_waits_for_the_backoff_of_its_policy(engine: Engine, compiled: Callable, tmp_path: Path) -> None:
    result = engine.run(compiled(after_a_second), arguments={"marker": str(tmp_path / "m")})
    assert result.seconds >= 1


@pytest.mark.parametrize(
    ("kind", "code", "tries"), [("InputError", 2, 1), ("GateRefused", 3, 1), ("OstinatoError", 1, 3), ("", 1, 3)]
)
def test_a_failure_carries_step_message_exit_code_and_log_and_only_code_1_is_retried(
    kind: str, code: int, tries: int, engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    with pytest.raises(StepFailed) as caught:
        engine.run(compiled(again), arguments={"marker": str(tmp_path / "m"), "failures": 9, "kind": kind})
    error = caught.value
    assert (error.step, error.exit_code, error.error) == ("try", code, kind or "RuntimeError")
    assert error.message == ("not yet" if kind else "RuntimeError: not yet")
    assert "Traceback" in error.log.read_text() and "not yet" in error.log.read_text()
    assert str(error.log) in str(error)
    assert (tmp_path / "m").read_text() == "x" * tries


@component
def fail_when(marker: str):
    import time
    from pathlib import Path

    deadline = time.monotonic() + 20
    while not Path(marker).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    raise ValueError("no")


@component
def outlast(marker: str, waited: str) -> str:
    import time
    from pathlib import Path

    Path(marker).touch()
    deadline = time.monotonic() + 20
    while "step failed" not in Path(waited).read_text():
        assert time.monotonic() < deadline, "the engine did not notice the failure while this step ran"
        time.sleep(0.005)
    return "done"


@dsl.pipeline(name="one-fails")
def one_fails(marker: str, events: str):
    fail_when(marker=marker)
    ended = outlast(marker=marker, waited=events)
    outlast(marker=marker, waited=ended.output)


def test_after_a_failure_running_steps_end_and_no_new_one_starts(
    engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    arguments = {"marker": str(tmp_path / "m"), "events": str(tmp_path / "run" / "events.jsonl")}
    with pytest.raises(StepFailed) as caught:
        engine.run(compiled(one_fails), arguments=arguments)
    steps = caught.value.result.steps
    assert {name: step.status for name, step in steps.items()} == {
        "fail-when": "failed",
        "outlast": "succeeded",
        "outlast-2": "waiting",
    }
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@component
def die(number: int):
    import os

    os.kill(os.getpid(), number)


@component
def leave(status: int):
    import os
    import sys

    sys.exit("bye") if status < 0 else os._exit(status)


@component
def forget() -> str: ...


@dsl.pipeline(name="dies")
def dies(number: int):
    die(number=number)


@dsl.pipeline(name="leaves")
def leaves(status: int):
    leave(status=status)


@dsl.pipeline(name="forgets")
def forgets():
    forget()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize(
    ("pipeline", "arguments", "words"),
    [
        (dies, {"number": 9}, "killed (SIGKILL), most often for want of memory"),
        (dies, {"number": 11}, "killed by SIGSEGV"),
        (leaves, {"status": 7}, "ended with exit status 7"),
        (leaves, {"status": 0}, "ended with exit status 0"),
        (leaves, {"status": -1}, "SystemExit: bye"),
        (forgets, {}, "gave no value for its output 'Output'"),
    ],
    ids=["out of memory", "segmentation fault", "exit 7", "exit 0", "sys.exit", "no output"],
)
def test_a_step_that_ends_without_a_result_is_reported_in_words(
    pipeline: Any, arguments: dict, words: str, method: str, engine: Engine, compiled: Callable
) -> None:
    with pytest.raises(StepFailed, match="step ") as caught:
        engine.run(compiled(pipeline), arguments=arguments, start_method=method)
    assert words in caught.value.message
    assert caught.value.exit_code == 1
    assert ("Segmentation fault" in caught.value.log.read_text()) == ("SIGSEGV" in words)


@component
def shout():
    import ctypes
    import logging
    import os
    import subprocess
    import sys

    print("from print")
    print("from stderr", file=sys.stderr)
    logging.getLogger("lib").info("from logging")
    os.write(1, b"from a file descriptor\n")
    ctypes.CDLL(None).puts(b"from C, buffered")
    subprocess.run(["echo", "from a program"], check=True)


@dsl.pipeline(name="shouts")
def shouts():
    shout()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_step_log_holds_output_of_python_logging_c_code_and_programs(
    method: str, compiled: Callable, process: Callable[..., Process], tmp_path: Path
) -> None:
    code, out, err = process(compiled(shouts), tmp_path / "run", start_method=method).end()
    assert (code, err) == (0, "") and "from" not in out
    text = (tmp_path / "run" / "shout" / "attempt-1" / "step.log").read_text()
    for source in ("print", "stderr", "logging", "a file descriptor", "C, buffered", "a program"):
        assert f"from {source}\n" in text


@component
def leave_running() -> int:
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


@dsl.pipeline(name="leaves-running")
def leaves_running():
    leave_running()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_nothing_that_a_step_left_running_outlives_it(
    method: str, engine: Engine, compiled: Callable, alive: Callable, wait_for: Callable
) -> None:
    step = engine.run(compiled(leaves_running), start_method=method).steps["leave-running"]
    wait_for(lambda: not alive(step.outputs.parameters["Output"]))


@component
def measure(text: str, result: dsl.Output[dsl.Artifact]) -> int:
    with open(result.path, "w") as file:
        file.write(text)
    return len(text)


@dsl.pipeline(name="large")
def large(text: str):
    measure(text=text)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_parameter_of_a_megabyte_arrives_whole(method: str, engine: Engine, compiled: Callable) -> None:
    text = "é{}'\n\"" * 200_000
    step = engine.run(compiled(large), arguments={"text": text}, start_method=method).steps["measure"]
    assert step.outputs.parameters == {"Output": len(text)}
    assert step.outputs.artifacts["result"].path.read_text() == text


@component
def look_around() -> dict:
    import os
    import sys

    names = ("COLOUR", "OMP_WAIT_POLICY")
    return {name: os.environ.get(name, "") for name in names} | {"stdin": sys.stdin.read()}


@dsl.pipeline(name="environment")
def environment():
    look_around().set_env_variable("COLOUR", "blue")


@component
def named(name: str) -> str:
    return name


@dsl.pipeline(name="named")
def asks_its_name():
    named(name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)


def test_a_step_learns_the_name_of_its_run(engine: Engine, compiled: Callable) -> None:
    result = engine.run(compiled(asks_its_name))
    assert result.steps["named"].outputs.parameters["Output"] == result.run_dir.name


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_steps_get_the_environment_of_their_component_and_nothing_on_standard_input(
    method: str, engine: Engine, compiled: Callable
) -> None:
    before = dict(os.environ)
    step = engine.run(compiled(environment), start_method=method).steps["look-around"]
    assert step.outputs.parameters["Output"] == {"COLOUR": "blue", "OMP_WAIT_POLICY": "PASSIVE", "stdin": ""}
    assert dict(os.environ) == before


@component
def first(marker: str) -> int:
    import os
    import time

    deadline = time.monotonic() + 20
    while not os.path.exists(marker):
        assert time.monotonic() < deadline, "nothing was imported while this step ran"
        time.sleep(0.005)
    return 1


@component
def importing(one: int) -> int:
    import heavy_for_engine_test  # pyright: ignore[reportMissingImports]

    return heavy_for_engine_test.importer


@dsl.pipeline(name="imports")
def imports(marker: str):
    importing(one=first(marker=marker).output)


def test_modules_are_imported_in_the_engine_while_earlier_steps_run_and_a_cached_run_imports_nothing(
    engine: Engine, compiled: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    code = f"import os, pathlib\nimporter = os.getpid()\npathlib.Path({str(marker)!r}).touch()\n"
    (tmp_path / "heavy_for_engine_test.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    ir, preload = compiled(imports), {"importing": ["no_such_module_anywhere", "heavy_for_engine_test"]}
    step = engine.run(ir, preload=preload, arguments={"marker": str(marker)}).steps["importing"]
    assert step.outputs.parameters["Output"] == os.getpid()
    assert "no_such_module_anywhere" in next(event.detail for event in engine.events if event.kind == "module missing")

    engine.run(ir, "second", preload=preload, arguments={"marker": str(marker)})
    assert [event.kind for event in engine.events] == ["run started", "step cached", "step cached", "run ended"]


def test_a_process_that_ran_the_engine_first_gets_the_whole_kfp_afterwards(
    compiled: Callable, process: Callable[..., Process], tmp_path: Path
) -> None:
    code, out, err = process(compiled(large), tmp_path / "run", arguments={"text": "abc"}).end()
    assert (code, err) == (0, "")
    assert json.loads(out) == {"measure": {"Output": 3}, "kfp": True}


def test_a_run_records_its_events_and_what_it_ran_with_which_result(engine: Engine, compiled: Callable) -> None:
    result = engine.run(compiled(large), arguments={"text": "abc"}, environment="python 3")
    lines = [json.loads(line) for line in (result.run_dir / "events.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == [event.kind for event in engine.events]
    started = next(line for line in lines if line["kind"] == "step started")
    assert (started["step"], started["attempt"], len(started["key"])) == ("measure", 1, 64)
    run = json.loads((result.run_dir / "run.json").read_text())
    assert (run["pipeline"], run["status"], run["arguments"]) == ("large", "succeeded", {"text": "abc"})
    assert run["ir"].startswith("sha256:") and run["started"] <= run["ended"] and run["environment"] == "python 3"
    step = run["steps"]["measure"]
    assert (step["status"], step["attempt"], step["cached"]) == ("succeeded", 1, False)
    assert step["outputs"]["parameters"] == {"Output": 3}
    assert step["outputs"]["artifacts"]["result"]["uri"].endswith("run/measure/attempt-1/result")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"txet": "a"}, "has no parameter 'txet'. Did you mean 'text'?"),
        ({}, "parameter 'text' of large is missing"),
        ({"text": 5}, "parameter 'text' of large must be text; got 5"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(
    arguments: dict, words: str, engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        engine.run(compiled(large), arguments=arguments)
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_true_is_no_whole_number(engine: Engine, compiled: Callable) -> None:
    with pytest.raises(InputError, match="must be a whole number; got True"):
        engine.run(compiled(dies), arguments={"number": True})
