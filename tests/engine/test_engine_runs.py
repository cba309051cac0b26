"""How the engine runs steps: side by side, again, and what it writes down when they fail."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.engine_harness import Engine
from kfp import dsl

from pipelines.backends.local import StepFailed

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
