import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.engine_harness import Engine, Process
from kfp import compiler

from pipelines.backends.local import load_package


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[Any], dict[str, Any]]:
    """Compile a pipeline with kfp's own compiler and read the package as the engine does."""

    def make(pipeline: Any) -> dict[str, Any]:
        path = tmp_path / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return load_package(path)

    return make


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(ir: dict[str, Any], run_dir: Path, **settings: Any) -> Process:
        started.append(Process(ir, run_dir, **settings))
        return started[-1]

    yield start
    for one in started:
        one.popen.kill()
        one.popen.wait(60)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any]], Any]:
    """Wait until a condition holds, for 30 seconds at most; its value."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.005)
        raise AssertionError("the condition did not come true within 30 seconds")

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs; a zombie does not."""

    def check(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"

    return check
