"""What a spec says reaches the steps byte for byte, whatever expands text on the way."""

import json
import re
from typing import Any

import pytest
import yaml
from harness.bike_specs import CODE, spec_with

from pipelines.continuous_training import compile_package
from pipelines.submit import check_arguments
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec
from training.spec.argument import pack, texts_digest, unpack

HOSTILE = [
    "{{workflow.name}}",
    "{{=2+3}}",
    "{{$.inputs.parameters['model']}}",
    "{{{{inputs.parameters.task}}}}",
    "a {{ b }} c {{{",
    "{ {x} }",
]
ARGUMENT_OF_ARGO = 128 * 1024
"""Bytes, from which Argo Workflows 4.0.5 hands an argument over as a file."""


def expanded(text: str) -> str:
    """What Argo Workflows and Kubeflow Pipelines do with an argument; only what the pipeline says itself is left."""
    return re.sub(r"\{\{(?!\$\.pipeline_job_(?:resource_)?name\}\}).*?\}\}", "EXPANDED", text)


def tasks_of(spec: ModelSpec) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(compile_package(spec, CODE, "ostinato"))["root"]["dag"]["tasks"]


def constants_of(task: dict[str, Any]) -> dict[str, str]:
    parameters = task["inputs"]["parameters"]
    return {name: value["runtimeValue"]["constant"] for name, value in parameters.items() if "runtimeValue" in value}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_between_double_braces_arrives_as_it_is_in_git(text: str) -> None:
    spec = spec_with(description=text, owner=text)
    constants = constants_of(tasks_of(spec)["register"])
    (arrived,) = unpack([expanded(constants["spec"])], constants["texts"])
    assert ModelSpec.model_validate_json(arrived) == spec
    assert spec.description == text


def test_no_step_is_given_text_that_would_be_expanded() -> None:
    raw = yaml.safe_load(compile_package(spec_with(description=HOSTILE[0], owner=HOSTILE[2]), CODE, "ostinato"))
    for name, task in raw["root"]["dag"]["tasks"].items():
        for argument, text in constants_of(task).items():
            assert expanded(text) == text, (name, argument)


def test_a_step_whose_spec_was_changed_on_the_way_stops_before_it_begins() -> None:
    text = spec_with().canonical_json()
    with pytest.raises(OstinatoError, match="the spec that this step got is not the one that was compiled"):
        unpack([text.replace("8w", "9w")], texts_digest([text]))


def test_a_spec_of_two_thousand_columns_fits_in_one_argument() -> None:
    spec = spec_with(data=wide(2000))
    for name, task in tasks_of(spec).items():
        assert len(json.dumps(task)) < ARGUMENT_OF_ARGO, name
    constants = constants_of(tasks_of(spec)["train"])
    data, _ = unpack([constants["data_spec"], constants["training_spec"]], constants["texts"])
    assert data == spec.data.canonical_json() and len(data) > ARGUMENT_OF_ARGO


def test_a_spec_that_fits_in_no_argument_is_refused_by_validate() -> None:
    data = wide(1)
    data["columns"]["ts"]["unit"] = "".join(texts_digest([str(number)]) for number in range(4000))
    with pytest.raises(InputError, match=r"takes [\d,]+ bytes as one argument .* and 98,304 are allowed; move long"):
        spec_with(data=data)


def test_equal_texts_give_equal_arguments_and_a_spoilt_one_is_named() -> None:
    text = "column," * 10_000
    assert pack(text) == pack(text) and len(pack(text)) < 1000
    assert unpack([pack(text), ""], texts_digest([text, ""])) == [text, ""]
    with pytest.raises(OstinatoError, match="not the one that was compiled"):
        unpack([pack(text)[: len("xz+base64:") + 60]], texts_digest([text]))
    with pytest.raises(OstinatoError, match="can't be read"):
        unpack([pack(text).replace(":", ":A")], texts_digest([text]))


def test_an_argument_that_a_backend_would_change_is_refused_at_submit() -> None:
    with pytest.raises(InputError, match=r"--data.*'s3://lake/\{\{day\}\}.parquet' has double braces, which .* expand"):
        check_arguments({"data_uri": "s3://lake/{{day}}.parquet", "as_of": "2026-01-01"})
    check_arguments({"data_uri": "s3://lake/{day}.parquet"})


def wide(columns: int) -> dict[str, Any]:
    """The data section of a table with so many more columns."""
    data = spec_with().data.model_dump(mode="json", exclude_defaults=True)
    data["columns"] |= {f"sensor_{number:04}": {"type": "float", "nullable": True} for number in range(columns)}
    return data
