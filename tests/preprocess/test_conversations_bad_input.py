"""Bad conversations: refused with their reason, or one clear message and nothing left behind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from preprocess.talks import Row, Talks, jsonl, rows, say, turns

from training.errors import InputError

OK = ("user", "Where is it?"), ("assistant", "There.")
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}

REFUSED: dict[str, tuple[Row, str, str]] = {
    "nothing": ({"messages": None}, "messages: missing", ""),
    "no list": ({"messages": {"role": "user"}}, "messages: not a list", "dict"),
    "broken text": ({"messages": "[{"}, "messages: text that is no JSON list", "'[{'"),
    "no messages": ({"messages": []}, "messages: empty", ""),
    "text for a message": ({"messages": ["hello"]}, "messages: one is no {role, content}", "message 1 is 'hello'"),
    "unknown role": (turns(("human", "a"), ("gpt", "b")), "role: unknown", "'human'; known are system, user"),
    "no role": ({"messages": [{"content": "a"}]}, "role: unknown", "message 1 has nothing"),
    "role of another type": (turns((["user"], "a"), ("assistant", "b")), "role: unknown", "['user']"),
    "tool role": (turns(*OK, ("tool", "{}")), "role: calls of tools are not supported", "message 3"),
    "call of a tool": ({"messages": [CALL]}, "role: calls of tools are not supported", "message 1"),
    "system later": (turns(*OK, ("system", "x"), *OK), "role: system is not first", "message 3"),
    "two systems": (turns(("system", "x"), ("system", "y"), *OK), "role: system is not first", "message 2"),
    "user twice": (
        turns(("user", "a"), ("user", "b"), ("assistant", "c")),
        "role: user and assistant do not take turns, user first",
        "user user assistant",
    ),
    "assistant first": (
        turns(("assistant", "a"), *OK),
        "role: user and assistant do not take turns, user first",
        "assistant user assistant",
    ),
    "no answer": (turns(*OK, ("user", "And?")), "role: the last message is not the assistant's", ""),
    "system alone": (turns(("system", "a")), "role: the last message is not the assistant's", ""),
    "empty content": (say("a", ""), "content: empty", "message 2"),
    "blank content": (say(" \n\u00a0", "b"), "content: empty", "message 1"),
    "no content": (turns(("user", None), ("assistant", "b")), "content: no text", "message 1 has nothing"),
    "content in parts": (turns(("user", [{"type": "text"}]), ("assistant", "b")), "content: no text", "message 1"),
    "half a character": (say("a \ud83d", "b"), "content: text with half a character (a lone surrogate)", "message 1"),
    "too many turns": (say(*"abcdef" * 2), "messages: more than data.max_turns 10", "12"),
    "too many characters": (say("a" * 199, "bb"), "messages: more characters than data.max_chars 200", "201"),
    "no label": (say("a", "b", topic=None), "topic: missing", ""),
    "label that is no text": (say("a", "b", topic=["x"]), "topic: no text", "list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_is_refused_with_its_reason_and_kept_beside(case: str, talks: Talks) -> None:
    row, reason, found = REFUSED[case]
    talks.save([*rows(5), {"topic": "pumps", **row}, *rows(34, first=5)])
    limits: dict[str, Any] = {"labels": ["topic"], "max_turns": 10, "max_chars": 200}
    card = talks.run(**limits, max_refused=0.05)
    assert (card.train.rows, card.refused_by_reason) == (39, {reason: 1})
    (refused,) = talks.refused.to_dicts()
    assert (refused["_row"], refused["_place"], refused["_reasons"]) == (6, "talks.jsonl, line 6", [reason])
    with pytest.raises(InputError) as caught:
        talks.run(**limits)
    assert "1 of 40 conversations (2.50%) are refused, data.max_refused allows 1.00%" in str(caught.value)
    assert f"talks.jsonl, line 6: {reason}" in str(caught.value)
    assert found in str(caught.value)


def test_the_limits_themselves_are_allowed(talks: Talks) -> None:
    talks.save([*rows(5), say(*"abcdefghij"), say("a" * 198, "bb")])
    assert talks.run(max_turns=10, max_chars=200).refused == 0


def test_a_row_with_two_faults_counts_under_both(talks: Talks) -> None:
    talks.save([*rows(39), say("a", "", topic="")])
    assert talks.run(labels=["topic"], max_refused=0.1).refused_by_reason == {"content: empty": 1, "topic: missing": 1}


def test_rows_of_the_fixed_questions_are_counted_by_themselves(talks: Talks) -> None:
    talks.save([*rows(9, first=100), say("unanswered")], "questions.jsonl")
    with pytest.raises(InputError, match=r"questions\.jsonl: 1 of 10 conversations"):
        talks.run(max_refused=0.05)
    assert talks.run(max_refused=0.1).test.rows == 9


def test_what_a_message_says_besides_is_not_read_and_the_card_says_so(talks: Talks) -> None:
    odd = say("a", "b")
    odd["messages"][1]["weight"] = 1
    odd["messages"][1]["name"] = None
    talks.save([*rows(5), odd])
    assert talks.run().warnings == ("1 conversation(s) have a message with 'weight', which is not read",)
    assert talks.train["messages"].to_list()[-1] == say("a", "b")["messages"]


def text(body: str | bytes) -> Callable[[Talks], dict[str, Any]]:
    def prepare(talks: Talks) -> dict[str, Any]:
        (talks.folder / "talks.jsonl").write_bytes(body.encode() if isinstance(body, str) else body)
        return {}

    return prepare


def saved(lines: list[Row], name: str = "talks.jsonl", **spec: Any) -> Callable[[Talks], dict[str, Any]]:
    def prepare(talks: Talks) -> dict[str, Any]:
        talks.save(lines, name)
        return {"source": name, **spec}

    return prepare


def mixed(talks: Talks) -> dict[str, Any]:
    talks.save(rows(3), "many/a.parquet")
    talks.save(rows(3), "many/b.jsonl")
    return {"source": "many"}


def one_file_without_a_label(talks: Talks) -> dict[str, Any]:
    talks.save(rows(3), "many/a.parquet")
    talks.save([say("a", "b")], "many/b.parquet")
    return {"source": "many", "labels": ["topic"]}


def no_parquet(talks: Talks) -> dict[str, Any]:
    (talks.folder / "talks.parquet").write_bytes(b"{}\n" * 100)
    return {"source": "talks.parquet"}


def with_hook(talks: Talks) -> dict[str, Any]:
    (talks.folder / "model.py").write_text("def features(rows):\n    return rows\n")
    return {}


GOOD = jsonl(rows(2))
STOPPED: dict[str, tuple[Callable[[Talks], dict[str, Any]], str]] = {
    "missing file": (lambda talks: {"source": "no.jsonl"}, "no.jsonl does not exist"),
    "missing questions": (lambda talks: {"test": "no.jsonl"}, "no.jsonl does not exist"),
    "unknown suffix": (lambda talks: {"source": "talks.csv"} | text("")(talks), "talks.csv does not exist"),
    "a table's suffix": (saved(rows(2), "talks.csv"), "a file ends with '.csv'; .jsonl and .parquet can be read"),
    "a folder of two formats": (mixed, "holds .jsonl and .parquet files"),
    "bigquery": (lambda talks: {"source": "bigquery://a.b.c"}, "unknown scheme; use a path, gs://, s3:// or https://"),
    "empty file": (text(""), "holds no conversations; data.source names it"),
    "empty lines": (text("\n\r\n"), "holds no conversations"),
    "broken line": (text(GOOD + '{"messages": [\n'), "talks.jsonl, line 3: no JSON: Expecting value at character"),
    "cut off": (text(GOOD[:-20]), "talks.jsonl, line 2: no JSON"),
    "a whole list": (text("[" + GOOD.replace("\n", ",\n")), "talks.jsonl, line 1: no JSON"),
    "a number": (text(GOOD + "3\n"), "talks.jsonl, line 3: no JSON object, but '3'"),
    "nested too deep": (text("[" * 100_000), "line 1: no JSON that can be read: it is nested too deep"),
    "latin-1": (text(GOOD.encode() + b'{"messages": "\xfc"}\n'), "line 3: byte 15 is not UTF-8 text"),
    "utf-16": (text(GOOD.encode("utf-16")), "talks.jsonl, line 1: byte 1 is not UTF-8 text"),
    "no parquet": (no_parquet, "talks.parquet cannot be read: it is no Parquet file"),
    "misspelled messages": (saved([{"mesages": []}]), "has no column 'messages'. Did you mean 'mesages'?"),
    "prompt and completion": (
        saved([{"prompt": "a", "completion": "b"}]),
        'but \'prompt\' and \'completion\'; write each row as {"messages": [{"role": "user", "content": <prompt>}',
    ),
    "prompt and completion in parquet": (saved([{"prompt": "a", "completion": "b"}], "t.parquet"), "<completion>"),
    "another layout": (saved([{"conversations": [{"from": "human"}]}]), "`from` to role (human is user"),
    "missing label": (saved(rows(3), labels=["topics"]), "no column 'topics', which data.key or data.labels names"),
    "missing label in parquet": (saved(rows(3), "t.parquet", labels=["topics"]), "Did you mean 'topic'?"),
    "a file without the label": (one_file_without_a_label, "b.parquet has no column 'topic'"),
    "missing key": (saved(rows(3), key="topics"), "Did you mean 'topic'?"),
    "a name that is taken": (lambda talks: {"labels": ["id"]}, "names 'id', which is taken"),
    "all rows refused": (saved([say("a")], max_refused=1.0), "1 of 1 conversations (100.00%) are refused"),
    "nothing on the test side": (saved(rows(1), split={"by": "key", "test": 0.001}), "the test side has no rows"),
    "as_of": (lambda talks: {"as_of": "2020-01-01"}, "as_of is '2020-01-01', but conversations have no time"),
    "a hook": (with_hook, "model.py: features() is for tables"),
}


@pytest.mark.parametrize("case", STOPPED)
def test_bad_input_stops_the_run_with_its_reason_and_leaves_nothing(case: str, talks: Talks) -> None:
    prepare, message = STOPPED[case]
    with pytest.raises(InputError) as caught:
        talks.run(**prepare(talks))
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert talks.left_behind() == []


WITHOUT = """
import sys
sys.modules["datasketch"] = None
from pathlib import Path
from components.preprocess.steps import prepare
from training.errors import InputError
try:
    prepare("talks", Path(sys.argv[1]), sys.argv[2], "", "", "", Path(sys.argv[3]))
except InputError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_without_the_extra_the_message_names_it(talks: Talks) -> None:
    command = [sys.executable, "-c", WITHOUT, str(talks.folder), talks.spec().canonical_json(), str(talks.out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "")
    assert "make llm" in done.stdout
    assert "ostinato[llm]" in done.stdout


def test_refused_rows_hold_what_was_there(talks: Talks, tmp_path: Path) -> None:
    talks.save([*rows(40), say("half \ud83d", "b", topic=3)])
    talks.run(max_refused=0.1, labels=["topic"])
    (refused,) = talks.refused.to_dicts()
    assert '"half \\ud83d"' in refused["messages"]
    assert refused["topic"] == "3"
    assert isinstance(talks.refused.schema["_reasons"], pl.List)
