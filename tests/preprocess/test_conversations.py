"""Conversations in, two sides and a card out."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from harness.loopback import FolderServer
from preprocess.talks import Talks, jsonl, rows, say, talk, turns

from delivery.documents.data_card import DataCard
from delivery.stores.sources import snapshot
from training.errors import InputError


def test_each_row_has_its_id_its_messages_and_its_labels_in_the_order_of_the_source(talks: Talks) -> None:
    card = talks.run(labels=["topic"])
    assert (card.train.rows, card.test.rows, card.refused) == (40, 10, 0)
    assert talks.train.schema == {
        "id": pl.String(),
        "messages": pl.List(pl.Struct({"role": pl.String, "content": pl.String})),
        "topic": pl.String(),
    }
    assert talks.train["messages"].to_list() == [row["messages"] for row in rows(40)]
    assert talks.test["topic"].to_list() == [row["topic"] for row in rows(10, first=100)]
    first = (
        '[{"content":"valve0 leaks0 water0","role":"user"},{"content":"Turn the valve 0 times.","role":"assistant"}]'
    )
    assert talks.train["id"][0] == hashlib.sha256(first.encode()).hexdigest()[:16]


def test_the_card_says_what_the_columns_are_and_where_the_test_rows_come_from(talks: Talks) -> None:
    talks.save([{**row, "pump": str(number)} for number, row in enumerate(rows(40))])
    talks.save([{**row, "pump": f"t{number}"} for number, row in enumerate(rows(10, 100))], "questions.jsonl")
    card = talks.run(labels=["topic"], key="pump")
    roles = {column.name: column.role for column in card.columns}
    assert roles == {"id": "input", "messages": "target", "pump": "key", "topic": "input"}
    assert all(column.nulls == 0 for column in card.columns)
    assert "questions.jsonl" in card.split
    assert card == DataCard.read(talks.out / "data.json")


def test_equal_input_gives_equal_bytes_and_whole_output(talks: Talks) -> None:
    talks.save([*rows(40), say("half", " ")])
    names = ["data.json", "refused.parquet", "test.parquet", "train.parquet"]
    talks.run(max_refused=0.1)
    before = {name: (talks.out / name).read_bytes() for name in names}
    talks.run(max_refused=0.1)
    assert {path.name: path.read_bytes() for path in talks.out.iterdir()} == before
    assert talks.left_behind() == ["data"]


def test_jsonl_and_parquet_give_the_same_rows_and_the_same_fingerprint(talks: Talks) -> None:
    first = talks.run(labels=["topic"])
    talks.save(rows(40), "talks.parquet")
    talks.save(rows(10, 100), "questions.parquet")
    assert talks.run(source="talks.parquet", test="questions.parquet", labels=["topic"]).fingerprint == (
        first.fingerprint
    )


def test_messages_may_be_the_text_of_a_json_list(talks: Talks) -> None:
    first = talks.run()
    talks.save([{"messages": json.dumps(row["messages"])} for row in rows(40)], "talks.parquet")
    assert talks.run(source="talks.parquet").fingerprint == first.fingerprint


@pytest.mark.parametrize("source", ["many", "many/*.jsonl"])
def test_the_files_of_a_folder_or_a_glob_are_read_in_order_of_their_names(talks: Talks, source: str) -> None:
    talks.save(rows(20, first=20), "many/b.jsonl")
    talks.save(rows(20), "many/a.jsonl")
    (talks.folder / "many" / "_SUCCESS").touch()
    talks.run(source=source)
    assert talks.train["messages"].to_list() == [row["messages"] for row in rows(40)]


def test_the_rows_of_several_files_are_counted_through(talks: Talks) -> None:
    talks.save(rows(20), "many/a.jsonl")
    talks.save([talk(20), say("unanswered")], "many/b.jsonl")
    talks.run(source="many", max_refused=0.1)
    assert talks.refused.select("_row", "_place").row(0) == (22, "b.jsonl, line 2")


def test_byte_order_mark_windows_lines_and_empty_lines_are_no_matter(talks: Talks) -> None:
    first = talks.run()
    text = "\ufeff\r\n" + jsonl(rows(40)).replace("\n", "\r\n\r\n")
    (talks.folder / "talks.jsonl").write_bytes(text.encode())
    assert talks.run().fingerprint == first.fingerprint


def test_a_system_message_and_several_turns_are_kept(talks: Talks) -> None:
    long = turns(("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    talks.save([*rows(40), long])
    talks.run()
    assert talks.train["messages"].to_list()[-1] == long["messages"]


@pytest.fixture
def server(talks: Talks) -> Iterator[str]:
    with FolderServer(talks.folder) as server:
        yield server.url


@pytest.mark.parametrize("name", ["talks.jsonl", "talks.parquet"])
def test_a_file_behind_a_url_gives_the_rows_of_the_local_file(talks: Talks, server: str, name: str) -> None:
    talks.save(rows(40), name)
    local = talks.run(source=name)
    assert talks.run(source=f"{server}/{name}", test=f"{server}/questions.jsonl").fingerprint == local.fingerprint


def test_data_replaces_the_source_and_not_the_fixed_questions(talks: Talks) -> None:
    other = talks.save(rows(30, first=200), "other.jsonl")
    card = talks.run(uri=str(other))
    assert (card.train.rows, card.test.rows, card.source) == (30, 10, str(other))


def test_the_snapshot_covers_source_and_fixed_questions(talks: Talks) -> None:
    taken = snapshot("talks.jsonl", talks.folder, talks.spec())
    assert talks.run(snapshot=taken).snapshot == taken
    talks.save(rows(11, first=100), "questions.jsonl")
    assert snapshot("talks.jsonl", talks.folder, talks.spec()) != taken
    with pytest.raises(InputError, match=r"questions\.jsonl changed since the run began"):
        talks.run(snapshot=taken)


def test_a_new_row_moves_no_other_over_the_split(talks: Talks) -> None:
    split = {"by": "key", "test": 0.3}
    talks.run(split=split)
    before = set(talks.asked(talks.test))
    talks.save([talk(900), *rows(40), talk(901)])
    talks.run(split=split)
    assert 0 < len(before) < 40
    assert set(talks.asked(talks.test)) - before <= {talk(n)["messages"][0]["content"] for n in (900, 901)}
    assert before <= set(talks.asked(talks.test))


def test_rows_with_one_key_stay_on_one_side(talks: Talks) -> None:
    talks.save({**row, "pump": number // 4} for number, row in enumerate(rows(80)))
    talks.run(split={"by": "key", "test": 0.4}, key="pump")
    assert not set(talks.train["pump"]) & set(talks.test["pump"])
    assert talks.train.height % 4 == talks.test.height % 4 == 0


def test_validate_reads_the_first_rows_of_both_sources(talks: Talks, tmp_path: Path) -> None:
    from components.preprocess.language.steps import glance

    assert glance(talks.spec(), talks.folder, tmp_path / "a") == (50, 50)
    talks.save([*[say("unanswered")] * 3, *rows(300)])
    assert glance(talks.spec(), talks.folder, tmp_path / "b") == (107, 110)
    talks.save([say("unanswered"), *rows(5)], "questions.jsonl")
    with pytest.raises(InputError, match=r"questions\.jsonl, line 1: role: the last message is not the assistant's"):
        glance(talks.spec(), talks.folder, tmp_path / "c")
