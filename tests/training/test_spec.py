"""What a model's owner relies on when writing spec.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.command_line import ROOT

from training.errors import InputError
from training.folder import check_name, model_spec
from training.spec import ModelSpec, json_schema, load_spec, parse_spec
from training.spec.reference import reference

GOOD: dict[str, Any] = {
    "name": "late-flights",
    "task": "classification",
    "description": "Late arrivals.",
    "data": {
        "source": "data.csv",
        "columns": {"id": {"type": "int"}, "day": {"type": "date"}, "late": {"type": "bool"}},
        "target": "late",
        "key": "id",
        "split": {"by": "key", "test": 0.2},
    },
    "quality": {"metric": "f1", "checks": [{"kind": "absolute", "metric": "f1", "min": 0.5}]},
}


def changed(path: str, value: Any) -> str:
    """GOOD as YAML with one value replaced, or removed when it is None."""
    raw = yaml.safe_load(yaml.safe_dump(GOOD))
    node: Any = raw
    parts: list[Any] = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parts[:-1]:
        node = node[part]
    if value is None:
        del node[parts[-1]]
    else:
        node[parts[-1]] = value
    return yaml.safe_dump(raw)


def test_a_good_spec_is_read_with_its_defaults() -> None:
    spec = parse_spec(yaml.safe_dump(GOOD), "spec.yaml")
    assert spec.registered_name == "late-flights"
    assert spec.data.max_refused == 0.01


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("nmae", "x", "nmae: unknown key. Did you mean 'name'?"),
        ("data.targte", "late", "data.targte: unknown key. Did you mean 'target'?"),
        ("data.columns.id.nulable", True, "data.columns.id.nulable: unknown key. Did you mean 'nullable'?"),
        ("quality.checks.0.metrc", "f1", "quality.checks.0.metrc: unknown key. Did you mean 'metric'?"),
        ("data.split.tset", 0.2, "data.split.tset: unknown key. Did you mean 'test'?"),
        ("name", "../escape", "name: this is not the name of a model: write lower-case letters"),
        ("name", "a name", "name: this is not the name of a model: write lower-case letters"),
        ("name", "$(reboot)", "(got '$(reboot)')"),
        ("name", "a: b", "name: this is not the name of a model: write lower-case letters"),
        ("task", "regresion", "task: Input should be 'regression', 'classification' or 'generation' (got 'regresion')"),
        ("description", None, "description: missing"),
        ("data.target", "lat", "target is 'lat', which is not in columns. Did you mean 'late'?"),
        ("data.max_refused", 2, "data.max_refused: Input should be less than or equal to 1 (got 2)"),
        ("data.split", {"by": "time", "test": "8w"}, "a split by time needs data.time"),
        ("data.split.test", "8w", "data.split.test"),
        ("data.time", "late", "data.time 'late' must be a datetime or date column"),
        ("data.columns.id.max", "many", "data.columns.id.max"),
        ("data.columns.late.min", 0, "min and max are for int and float columns"),
        ("data.max_gap", "1 hour", "'1 hour' is not a duration"),
        ("quality.metric", "mae", "quality.metric is 'mae', no metric of classification"),
        ("quality.checks", [], "quality.checks"),
        ("quality.checks.0.max", 0.9, "give exactly one of max and min"),
        ("quality.checks.0", {"kind": "baseline", "metric": "f1"}, "quality.baseline is missing"),
        ("quality.checks.0", {"kind": "absolut", "metric": "f1"}, "absolut"),
        ("training", {"resources": {"memory": "4 GB"}}, "'4 GB' is not a Kubernetes quantity"),
        ("serving", {"scaling": {"min_replicas": 3, "max_replicas": 2}}, "min_replicas 3 is above max_replicas 2"),
        # A table takes nothing of a language model.
        ("data.kind", "tabel", "data.kind: 'tabel' is not known. Write table or conversations."),
        ("data.kind", "conversations", "data.kind is 'conversations', and the task classification needs 'table'"),
        ("serving", {"protocol": "openai"}, "serving.protocol is 'openai'; write v2 or v1, the task is classification"),
        ("training", {"base_model": {"source": "./x"}}, "training.base_model is for task: generation, and the task is"),
        ("training", {"system_prompt": "prompts/system.md"}, "training.system_prompt is for task: generation"),
        ("training", {"adapter": "separate"}, "training.adapter is for task: generation"),
        ("quality.decoding", {"max_new_tokens": 9}, "quality.decoding is for task: generation"),
        ("quality.similarity", {"source": "./encoder"}, "quality.similarity is for task: generation"),
        ("quality.judge", {"url": "http://j/v1", "model": "j", "rubric": "r"}, "quality.judge is for task: generation"),
        ("quality.baseline", {"kind": "base_model"}, "kind is 'base_model', which does not fit classification; write "),
        ("quality.checks.0", {"kind": "length", "max_words": 9}, "quality.checks.0 is of kind length, which does not"),
        ("quality.checks.0", {"kind": "judge"}, "quality.checks.0 is of kind judge, which does not fit classification"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_fix(path: str, value: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_spec(changed(path, value), "spec.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is not YAML"), ("- a\n- b", "must hold a mapping"), ("", "must hold a mapping")]
)
def test_a_file_that_is_no_spec_at_all_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_spec(text, "spec.yaml")


def test_a_missing_spec_says_what_to_type_next(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ostinato new"):
        load_spec(tmp_path / "spec.yaml")


def test_equal_specs_have_equal_digests_whatever_the_order_and_the_comments() -> None:
    one = parse_spec(yaml.safe_dump(GOOD), "one")
    other = parse_spec("# a comment\n" + yaml.safe_dump(dict(reversed(GOOD.items())), sort_keys=False), "other")
    assert one.digest() == other.digest()
    assert parse_spec(changed("data.max_refused", 0.02), "third").digest() != one.digest()


def test_a_spec_survives_its_canonical_text() -> None:
    spec = model_spec(ROOT, "demand-forecaster")
    assert ModelSpec.model_validate_json(spec.canonical_json()) == spec


@pytest.mark.parametrize("name", ["../x", "a b", "A", "-a", "a-", "a_b", "", "a" * 49, "a;b", "a\nb", "a'b", "ä"])
def test_a_name_that_is_unsafe_as_folder_branch_or_resource_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        check_name(name)


def test_an_unknown_model_names_the_nearest_one() -> None:
    with pytest.raises(InputError, match="Did you mean 'demand-forecaster'"):
        model_spec(ROOT, "demand-forcaster")


def test_the_reference_and_the_editors_schema_are_those_of_the_code() -> None:
    import json

    folder = ROOT / "docs" / "reference"
    assert (folder / "spec.md").read_text() == reference(), "run `make docs`"
    assert json.loads((folder / "spec.schema.json").read_text()) == json_schema(), "run `make docs`"
