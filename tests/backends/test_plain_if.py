"""A pipeline that decides by a plain `if` is refused while it is compiled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from pipelines.plain_if import no_plain_if
from training.errors import InputError

component: Any = dsl.component(base_image="ostinato", install_kfp_package=False)


@component
def look() -> str:
    return "yes"


@component
def act(text: str) -> None:
    pass


def compile_guarded(pipeline: Callable, path: Path) -> None:
    compiler.Compiler().compile(dsl.pipeline(name="guarded")(no_plain_if(pipeline)), str(path))


def by_output(name: str = "") -> None:
    seen: Any = look()
    if seen.output:
        act(text=name)


def by_comparison(name: str = "") -> None:
    seen: Any = look()
    act(text="a" if seen.output == "yes" else "b")


def by_parameter(name: str = "") -> None:
    while name:
        act(text=name)


@pytest.mark.parametrize(
    ("pipeline", "what"),
    [
        (by_output, "the output 'Output' of step 'look'"),
        (by_comparison, "the output 'Output' of step 'look'"),
        (by_parameter, "the pipeline parameter 'name'"),
    ],
)
def test_a_plain_if_is_refused_and_the_output_is_named(pipeline: Callable, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        compile_guarded(pipeline, tmp_path / "package.yaml")
    assert not (tmp_path / "package.yaml").exists()


def test_kfps_own_conditions_and_loops_compile_as_without_the_guard(tmp_path: Path) -> None:
    def branches(name: str = "", often: int = 3) -> None:
        seen: Any = look()
        with dsl.If(seen.output == "yes"):
            act(text=f"{seen.output} {name}")
        with dsl.Else(), dsl.ParallelFor([1, 2]):
            act(text=seen.output)
        with dsl.If(often > 3):  # pyright: ignore[reportArgumentType]
            act(text=name)

    compile_guarded(branches, tmp_path / "guarded.yaml")
    compiler.Compiler().compile(dsl.pipeline(name="guarded")(branches), str(tmp_path / "plain.yaml"))
    assert (tmp_path / "guarded.yaml").read_bytes() == (tmp_path / "plain.yaml").read_bytes()
