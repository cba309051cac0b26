"""A step is answered from the cache when everything that decides its result is the same, and only then."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.engine_harness import Engine, Process
from kfp import dsl

component: Any = dsl.component(base_image="ostinato", install_kfp_package=False)


@component
def fetch(source: str, data: dsl.Output[dsl.Dataset]):
    import os
    import shutil

    os.mkdir(data.path)
    shutil.copy(source, os.path.join(data.path, "rows.txt"))


@component
def count(data: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics], page: dsl.Output[dsl.HTML]) -> int:
    with open(data.path + "/rows.txt") as file:
        rows = len(file.readlines())
    metrics.log_metric("rows", rows)
    with open(page.path, "w") as file:
        file.write(f"<p>{rows}</p>")
    return rows


def count_differently() -> Any:
    """The same step with other code."""

    @component
    def count(data: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics], page: dsl.Output[dsl.HTML]) -> int:
        with open(page.path, "w") as file:
            file.write("other")
        return -1

    return count


def counting(step: Any) -> Any:
    @dsl.pipeline(name="counting")
    def pipeline(source: str):
        rows = fetch(source=source).set_caching_options(False)
        step(data=rows.outputs["data"])

    return pipeline


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("a\nb\n")
    return path


@pytest.fixture
def ir(compiled: Callable) -> dict[str, Any]:
    return compiled(counting(count))


@pytest.fixture
def first(engine: Engine, ir: dict, source: Path) -> Path:
    """A finished run; its attempt folder of the counted step."""
    folder = engine.run(ir, "first", arguments={"source": str(source)}).steps["count"].folder
    assert folder and engine.reason("count") == "not seen before"
    return folder


def again(engine: Engine, ir: dict, source: Path, **settings: Any) -> str:
    """Who answers for the counted step in another run."""
    return engine.run(ir, "second", arguments={"source": str(source)}, **settings).steps["count"].origin


def test_equal_content_hits_although_it_lies_elsewhere_and_outputs_are_used_in_place(
    engine: Engine, ir: dict, source: Path, first: Path
) -> None:
    moved = source.rename(source.with_name("elsewhere.txt"))
    step = engine.run(ir, "second", arguments={"source": str(moved)}).steps["count"]
    assert (step.origin, step.outputs.parameters, step.folder) == ("cache", {"Output": 2}, first)
    assert step.outputs.artifacts["metrics"].metadata == {"rows": 2}
    assert step.outputs.artifacts["page"].path == first / "page"
    assert not (engine.folder / "second" / "count").exists()
    assert json.loads((engine.folder / "second" / "run.json").read_text())["steps"]["count"]["cached"] is True


def test_a_step_that_asked_not_to_be_cached_always_runs(engine: Engine, ir: dict, source: Path, first: Path) -> None:
    again(engine, ir, source)
    assert engine.kinds("fetch") == ["step started", "step succeeded"]


@pytest.mark.usefixtures("first")
def test_changed_input_content_misses(engine: Engine, ir: dict, source: Path) -> None:
    source.write_text("a\nc\n")
    assert again(engine, ir, source) == "run"
    assert engine.reason("count") == "not seen before"


@pytest.mark.usefixtures("first")
def test_changed_code_misses(engine: Engine, compiled: Callable, source: Path) -> None:
    assert again(engine, compiled(counting(count_differently())), source) == "run"


@pytest.mark.usefixtures("first")
def test_another_environment_misses(engine: Engine, ir: dict, source: Path) -> None:
    assert again(engine, ir, source, environment="polars 2.2") == "run"


@pytest.mark.usefixtures("first")
def test_without_a_cache_folder_every_step_runs(engine: Engine, ir: dict, source: Path) -> None:
    assert again(engine, ir, source, cache_dir=None) == "run"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "page").unlink(), "page is gone"),
        (lambda folder: (folder / "page").write_text("<p>9</p>"), "page was changed"),
        (lambda folder: (folder / "result.json").write_text('{"status": "succ'), "result.json is gone"),
        (lambda folder: shutil.rmtree(folder.parents[1]), "result.json is gone"),
    ],
    ids=["deleted", "overwritten", "torn record", "run deleted"],
)
def test_a_result_that_is_no_longer_as_it_was_left_misses_with_the_reason_and_is_made_again(
    damage: Callable, reason: str, engine: Engine, ir: dict, source: Path, first: Path
) -> None:
    damage(first)
    assert again(engine, ir, source) == "run"
    assert engine.reason("count").endswith(reason)
    assert engine.run(ir, "third", arguments={"source": str(source)}).steps["count"].origin == "cache"


def test_two_runs_at_once_share_a_cache_without_harm(
    engine: Engine, ir: dict, source: Path, tmp_path: Path, process: Callable[..., Process]
) -> None:
    runs = [process(ir, tmp_path / f"run-{i}", arguments={"source": str(source)}) for i in range(3)]
    assert [(code, err) for code, _, err in (run.end() for run in runs)] == [(0, "")] * 3
    assert again(engine, ir, source) == "cache"
    assert [path.name for path in engine.cache.iterdir() if path.name.startswith(".")] == []
