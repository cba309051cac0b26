"""What the engine cannot run is refused before anything runs, with the step, the construct and a way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest
from engine.engine_harness import Engine
from kfp import dsl

from pipelines.backends.local import load_package
from training.errors import InputError

component: Any = dsl.component(base_image="ostinato", install_kfp_package=False)
NOTHING: dict = {}


@component
def one(x: int = 1) -> int:
    return x


@component
def take(
    values: dict = NOTHING,
    text: str = "",
    thing: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
):
    pass


@component
def take_all(things: dsl.Input[list[dsl.Artifact]]):
    pass


@component
def finish(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.component(base_image="python:3.11", packages_to_install=["left-pad"])
def installing():
    pass


@dsl.component(base_image="python:3.11")
def installing_kfp():
    pass


@dsl.container_component
def container():
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=["x"])


@dsl.pipeline(name="inner")
def inner(x: int) -> int:
    return one(x=x).output


@dsl.pipeline(name="condition")
def condition():
    with dsl.If(one().output == 3):
        one(x=4)


@dsl.pipeline(name="loop")
def loop():
    with dsl.ParallelFor([1, 2]) as item:
        one(x=item)


@dsl.pipeline(name="exit-handler")
def exit_handler():
    with dsl.ExitHandler(finish()):
        one()


@dsl.pipeline(name="ignoring")
def ignoring():
    one(x=2).after(one(x=1)).ignore_upstream_failure()


@dsl.pipeline(name="nested")
def nested():
    inner(x=2)


@dsl.pipeline(name="importing")
def importing():
    take(thing=dsl.importer(artifact_uri="gs://x", artifact_class=dsl.Dataset).output)


@dsl.pipeline(name="installs")
def installs():
    installing()


@dsl.pipeline(name="installs-kfp")
def installs_kfp():
    installing_kfp()


@dsl.pipeline(name="containers")
def containers():
    container()


@dsl.pipeline(name="from-outside")
def from_outside(given: dsl.Input[dsl.Artifact]):
    take(thing=given)


@dsl.pipeline(name="has-outputs")
def has_outputs() -> int:
    return one().output


@dsl.pipeline(name="placeholder")
def placeholder():
    take(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)


@dsl.pipeline(name="placeholder-inside")
def placeholder_inside():
    take(values={"a": one().output})


REFUSED = [
    (condition, "step 'condition-1' uses a condition (dsl.If)", "decide inside the step"),
    (loop, "step 'for-loop-2' uses a loop (dsl.ParallelFor)", "loop inside the step"),
    (
        exit_handler,
        "step 'exit-handler-1' uses a nested pipeline, or a group such as dsl.ExitHandler",
        "call the steps",
    ),
    (ignoring, "step 'one' uses an exit task or ignore_upstream_failure()", "end well"),
    (nested, "step 'inner' uses a nested pipeline", "call the steps"),
    (importing, "step 'importer' uses an importer", "pass the URI as a parameter"),
    (installs, "step 'installing' uses packages_to_install", "install_kfp_package=False"),
    (installs_kfp, "step 'installing-kfp' uses packages_to_install, or installs kfp", "install_kfp_package=False"),
    (containers, "step 'container' uses a container", "lightweight Python component"),
    (from_outside, "step 'take' uses an artifact given from outside", "pass its URI as a parameter"),
    (has_outputs, "the pipeline uses outputs of the pipeline itself", "read the outputs of the step"),
    (placeholder, "step 'take' uses a placeholder in 'text'", "pass the value as a parameter"),
    (placeholder_inside, "step 'take' uses a placeholder in 'values'", "pass the value as a parameter"),
]


@pytest.mark.parametrize(("pipeline", "what", "instead"), REFUSED, ids=[case[0].name for case in REFUSED])
def test_an_unsupported_construct_is_refused_by_name_with_a_way_out_before_anything_is_written(
    pipeline: Any, what: str, instead: str, engine: Engine, compiled: Callable, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        engine.run(compiled(pipeline))
    message = str(caught.value)
    assert what in message and instead in message and "run it on a cluster" in message
    assert not (tmp_path / "run").exists()


@dsl.pipeline(name="plain")
def plain():
    one()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "root",
        "root.dag",
        "root.dag.tasks.one",
        "components.comp-one",
        "deploymentSpec.executors.exec-one.container",
    ],
)
def test_a_key_that_the_engine_does_not_know_is_refused_not_skipped(
    path: str, engine: Engine, compiled: Callable
) -> None:
    ir = compiled(plain)
    node = ir
    for part in path.split(".") if path else ():
        node = node[part]
    node["somethingNew"] = {}
    with pytest.raises(InputError, match="somethingNew"):
        engine.run(ir)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"),
        ("a: [", "is not YAML"),
        ("a: 1\n---\nplatforms: {}\n", "holds 2 YAML documents"),
        ("", "holds 0 YAML documents"),
        ("- 1", "takes one mapping"),
    ],
)
def test_a_file_that_is_no_package_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "package.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_package(path)


@pytest.mark.parametrize(
    ("ir", "words"), [({"a": 1}, "no compiled pipeline: components"), ({"schemaVersion": "1.0"}, "components")]
)
def test_a_mapping_that_is_no_pipeline_is_refused(ir: dict, words: str, engine: Engine) -> None:
    with pytest.raises(InputError, match=words):
        engine.run(ir)


def test_a_package_of_another_schema_version_is_refused(engine: Engine, compiled: Callable) -> None:
    with pytest.raises(InputError, match=r"schemaVersion '3.0.0', not 2.x"):
        engine.run({**compiled(plain), "schemaVersion": "3.0.0"})
