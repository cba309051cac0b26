"""One step in its process: what it is given, what it leaves behind and is written down, and how its end is told."""

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
    named(name=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER)


def test_a_step_learns_the_name_of_its_run_by_either_of_kfps_placeholders(engine: Engine, compiled: Callable) -> None:
    result = engine.run(compiled(asks_its_name))
    names = [result.steps[step].outputs.parameters["Output"] for step in ("named", "named-2")]
    assert names == [result.run_dir.name] * 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_steps_get_the_environment_of_their_component_and_nothing_on_standard_input(
    method: str, engine: Engine, compiled: Callable
) -> None:
    before = dict(os.environ)
    step = engine.run(compiled(environment), start_method=method).steps["look-around"]
    assert step.outputs.parameters["Output"] == {"COLOUR": "blue", "OMP_WAIT_POLICY": "PASSIVE", "stdin": ""}
    assert dict(os.environ) == before


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
