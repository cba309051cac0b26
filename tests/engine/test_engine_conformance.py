# pyright: reportInvalidTypeForm=false
"""The engine and kfp.local run the same packages and must agree on every output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from engine.engine_harness import Engine
from kfp import dsl, local
from kfp.local import config

component: Any = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def observe(
    i: int,
    f: float,
    b: bool,
    s: str,
    li: list,
    d: dict,
    word: str = "default",
    maybe: Optional[str] = None,  # noqa: UP045
) -> str:
    import json

    values = [i, f, b, s, li, d, word, maybe]
    return json.dumps([[type(value).__name__, value] for value in values], sort_keys=True)


LIST, STRUCT = [1, "two"], {"n": 1, "in": {"x": [True, 2]}}


@dsl.pipeline(name="every-type")
def every_type(i: int, s: str, f: float = 2, b: bool = False, li: list = LIST, d: dict = STRUCT):
    observe(i=i, f=f, b=b, s=s, li=li, d=d)
    observe(i=7, f=0.5, b=True, s='it\'s "$HOME" {x} \n é', li=[], d={}, word="given")


class Facts(NamedTuple):
    count: int
    share: float
    names: list
    nested: dict
    good: bool


@component
def facts(n: int) -> NamedTuple(
    "Facts", [("count", int), ("share", float), ("names", list), ("nested", dict), ("good", bool)]
):
    from collections import namedtuple

    made = namedtuple("Facts", "count share names nested good")
    return made(n, n / 4, ["a", 1], {"k": 1, "deep": {"x": 2.5}}, n > 1)


@dsl.pipeline(name="named-outputs")
def named_outputs(n: int):
    first = facts(n=n)
    second = facts(n=first.outputs["count"])
    seen = second.outputs
    observe(i=seen["count"], f=seen["share"], b=seen["good"], s="x", li=seen["names"], d=seen["nested"])


@component
def make(
    rows: int,
    data: dsl.Output[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    page: dsl.Output[dsl.HTML],
    card: dsl.OutputPath(str),
    total: dsl.OutputPath(int),
):
    import os

    os.mkdir(data.path)
    for name in ("a.txt", "b.txt"):
        with open(os.path.join(data.path, name), "w") as file:
            file.write(name * rows)
    data.metadata["rows"] = rows
    data.metadata["columns"] = {"a": ["int", 1]}
    with open(model.path, "wb") as file:
        file.write(bytes(range(256)))
    model.framework = "none"
    metrics.log_metric("mae", 1.25)
    curves.log_confusion_matrix(["no", "yes"], [[5, 1], [2, 7]])
    with open(page.path, "w") as file:
        file.write("<p>é</p>")
    with open(card, "w") as file:
        file.write("a card")
    with open(total, "w") as file:
        file.write(str(rows * 2))


@component
def read(
    data: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    metrics: dsl.Input[dsl.Metrics],
    path: dsl.InputPath("Dataset"),
    card: str,
    total: int,
    absent: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
) -> str:
    import json
    import os

    assert path == data.path
    with open(model.path, "rb") as file:
        size = len(file.read())
    kinds = [type(one).__name__ for one in (data, model, metrics, absent)]
    seen = [sorted(os.listdir(data.path)), data.metadata, data.name, model.framework, size, metrics.metadata]
    return json.dumps([*seen, kinds, card, total], sort_keys=True)


@dsl.pipeline(name="artifacts")
def artifacts(rows: int = 3):
    made = make(rows=rows)
    out = made.outputs
    read(
        data=out["data"],
        model=out["model"],
        metrics=out["metrics"],
        path=out["data"],
        card=out["card"],
        total=out["total"],
    )


@component
def say(text: str, result: dsl.Output[dsl.Artifact]) -> str:
    with open(result.path, "a") as file:
        file.write(text + "\n")
    return text.upper()


@component
def join(left: dsl.Input[dsl.Artifact], right: dsl.Input[dsl.Artifact], text: str) -> str:
    return open(left.path).read() + open(right.path).read() + text


@dsl.pipeline(name="diamond")
def diamond(name: str = "n"):
    top = say(text=f"top {name}")
    left = say(text=f"{name}/left of {top.outputs['Output']}")
    right = say(text="right").after(top)
    both = join(left=left.outputs["result"], right=right.outputs["result"], text=f"{left.outputs['Output']}+{name}")
    say(text="the end").after(both)


CASES = [
    (every_type, {"i": 5, "s": "plain"}),
    (every_type, {"i": -1, "s": '{"a": 1}', "f": 3.0, "b": True, "li": [[1], {"x": 2}], "d": {"n": 2}}),
    (named_outputs, {"n": 3}),
    (artifacts, {"rows": 2}),
    (diamond, {"name": "x y"}),
]


@pytest.mark.parametrize(("pipeline", "arguments"), CASES, ids=[f"{case[0].name}-{i}" for i, case in enumerate(CASES)])
def test_every_output_equals_what_kfp_local_makes_of_the_same_package(
    pipeline: Any,
    arguments: dict[str, Any],
    engine: Engine,
    compiled: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = engine.run(compiled(pipeline), arguments=arguments)
    monkeypatch.setattr(config.LocalExecutionConfig, "instance", None)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "oracle"))
    pipeline(**arguments)
    (oracle,) = (tmp_path / "oracle").iterdir()
    assert {folder.name for folder in oracle.iterdir()} == set(ours.steps)
    for name, step in ours.steps.items():
        assert step.folder
        assert left_behind(step.folder) == left_behind(oracle / name), name


def left_behind(folder: Path) -> dict[str, Any]:
    """Everything that a step wrote: KFP's own record of the outputs without their place, and all bytes."""
    written = json.loads((folder / "executor_output.json").read_text().replace(str(folder), "FOLDER"))
    ours = {"executor_output.json", "ephemeral_component.py", "result.json", "step.log"}
    files = {path for path in folder.rglob("*") if path.is_file() and path.name not in ours}
    return {"": written} | {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_results_carry_parameters_with_their_types_and_artifacts_with_their_metadata(
    engine: Engine, compiled: Callable
) -> None:
    steps = engine.run(compiled(artifacts), arguments={"rows": 2}).steps
    made = steps["make"].outputs
    assert made.parameters == {"card": "a card", "total": 4}
    assert made.artifacts["data"].metadata == {"rows": 2, "columns": {"a": ["int", 1]}}
    assert made.artifacts["data"].type["schemaTitle"] == "system.Dataset"
    assert (made.artifacts["data"].path / "b.txt").read_text() == "b.txtb.txt"
    assert made.artifacts["metrics"].kind == "nothing"
