"""What the demonstration's own set of questions promises."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.preprocess.language.near_duplicates import normal, similarity, words_of
from components.preprocess.steps import prepare
from pipelines.cli import app
from training.spec import ConversationSpec, ModelSpec, load_spec

FOLDER = Path(__file__).parents[2] / "training" / "llm_qa"


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


TRAINED, ASKED, PAIRS = lines("data/conversations.jsonl"), lines("data/questions.jsonl"), lines("judge_labels.jsonl")


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load_spec(FOLDER / "spec.yaml")


def question(row: dict[str, Any]) -> str:
    return row["messages"][0]["content"]


def answer(row: dict[str, Any]) -> str:
    return row["messages"][1]["content"]


def help_of(*command: str) -> str:
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0, command
    return done.output


def test_preprocess_keeps_every_row_and_warns_of_nothing(spec: ModelSpec, tmp_path: Path) -> None:
    card = prepare("llm-qa", FOLDER, spec.data.canonical_json(), "", "", "", tmp_path / "data")
    assert (card.train.rows, card.test.rows) == (len(TRAINED), len(ASKED))
    assert (card.refused, card.warnings) == (0, ())


def test_no_fixed_question_is_close_to_a_trained_one(spec: ModelSpec) -> None:
    assert isinstance(spec.data, ConversationSpec)
    trained = [words_of(normal(question(row))) for row in TRAINED]
    for row in ASKED:
        words = words_of(normal(question(row)))
        assert max(similarity(words, other) for other in trained) < spec.data.near_duplicate, question(row)


def test_every_fact_is_trained_in_four_wordings_and_asked_once_with_one_answer() -> None:
    assert set(Counter(row["fact"] for row in TRAINED).values()) == {4}
    assert Counter(row["fact"] for row in ASKED) == Counter({row["fact"] for row in TRAINED})
    for fact in {row["fact"] for row in ASKED}:
        told = {(answer(row), row["topic"]) for row in [*TRAINED, *ASKED] if row["fact"] == fact}
        assert len(told) == 1, fact


def test_every_answer_is_one_short_plain_sentence() -> None:
    for row in [*TRAINED, *ASKED]:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert 6 <= len(answer(row).split()) <= 25
        assert answer(row).isascii()
        assert "\n" not in answer(row)
        assert answer(row).endswith(".")


def test_commands_and_options_in_the_answers_exist() -> None:
    texts = [answer(row) for row in ASKED]
    commands = {match for text in texts for match in re.findall(r"\bostinato ([a-z]+(?: rotate)?)\b", text)}
    assert len(commands) >= 15
    helps = help_of() + "".join(help_of(*name.split()) for name in sorted(commands))
    for option in {match for text in texts for match in re.findall(r"--[a-z][-a-z]*", text)}:
        assert re.search(rf"{option}\b", helps), option


def test_options_belong_to_the_command_that_they_are_written_after() -> None:
    checked = 0
    for text in (answer(row) for row in ASKED):
        for name, rest in re.findall(r"\bostinato ([a-z]+) ([^;.]*)", text):
            for option in re.findall(r"(?<!\S)-{1,2}[a-z][-a-z]*", rest):
                assert re.search(rf"{option}\b", help_of(name)), (name, option)
                checked += 1
    assert checked >= 8


def test_fields_of_the_spec_that_the_answers_name_exist(spec: ModelSpec) -> None:
    named = {
        match for row in ASKED for match in re.findall(r"\b(training|serving|data|quality)\.([a-z_]+)", answer(row))
    }
    assert named
    for section, field in named:
        assert hasattr(getattr(spec, section), field), (section, field)


def test_the_labelled_pairs_are_balanced_and_say_how_they_were_decided() -> None:
    assert Counter(pair["better"] for pair in PAIRS) == {"first": 8, "second": 8, "tie": 8}
    fixed = {question(row): answer(row) for row in ASKED}
    for pair in PAIRS:
        assert set(pair) == {"question", "first", "second", "better", "by"}
        assert pair["by"].startswith("written with the set: ")
        assert pair["first"] != pair["second"]
        documented = fixed[pair["question"]]
        if pair["better"] != "tie":
            assert pair[pair["better"]] == documented
        elif "both" in pair["by"]:
            assert documented in (pair["first"], pair["second"])
        else:
            assert documented not in (pair["first"], pair["second"])


def test_the_spec_names_files_that_are_there(spec: ModelSpec) -> None:
    assert isinstance(spec.data, ConversationSpec)
    assert spec.data.test is not None
    for name in (spec.data.source, spec.data.test, spec.training.system_prompt):
        assert (FOLDER / name).is_file(), name
    assert "judge_labels.jsonl" in (FOLDER / "spec.yaml").read_text(encoding="utf-8")
