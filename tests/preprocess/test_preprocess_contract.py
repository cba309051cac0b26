"""The contract: what is kept, what is refused, and that formats do not matter."""

from datetime import datetime

import polars as pl
import pytest
from preprocess.shop import BY_KEY, COLUMNS, Model, hours


def test_refused_rows_are_kept_aside_with_number_reasons_and_values(model: Model, spoil) -> None:
    model.save(spoil(spoil(hours(500), 6, temp=99.0, count=-1), 8, place="west"))
    card = model.run()
    assert card.refused == 2
    assert card.refused_by_reason == {"count: below 0": 1, "place: not an allowed value": 1, "temp: above 60": 1}
    first = model.refused.row(0, named=True)
    assert (first["_row"], first["_reasons"]) == (7, ["count: below 0", "temp: above 60"])
    assert (first["temp"], first["count"], first["id"]) == (99.0, -1, 6)


def test_every_seen_row_is_trained_tested_refused_or_embargoed(model: Model, spoil) -> None:
    model.save(spoil(hours(500), 3, count=None))
    card = model.run(split={"by": "time", "test": "2d", "embargo": "5h"})
    assert (card.test.rows, card.refused) == (48, 1)
    assert card.train.rows + card.test.rows + card.refused + 5 == 500


def test_a_clean_source_has_no_refused_file(model: Model) -> None:
    model.save(hours(200))
    assert model.run().refused_by_reason == {}
    assert not (model.out / "refused.parquet").exists()


def test_only_later_rows_with_the_same_value_are_refused(model: Model) -> None:
    rows = hours(300).with_columns(id=pl.when(pl.col("id").is_in([50, 70])).then(10).otherwise("id"))
    model.save(rows)
    model.run()
    assert model.refused["_row"].to_list() == [51, 71]
    assert 10 in model.train["id"]


@pytest.mark.parametrize("hashes_at_once", [10, 1000])
def test_repeats_are_found_whatever_the_share_that_is_looked_at(monkeypatch, hashes_at_once: int) -> None:
    from components.preprocess.table import survey

    monkeypatch.setattr(survey, "HASHES_AT_ONCE", hashes_at_once)
    texts = [f"k{number * number % 97}" for number in range(300)] + [None, None]
    rows = pl.DataFrame({"_row": range(302), "key": texts}, schema={"_row": pl.UInt32, "key": pl.String})
    expected = [row for row, text in enumerate(texts) if text is not None and text in texts[:row]]
    assert sorted(survey.repeats(rows.lazy(), "key", rows.height)) == expected


def test_csv_and_parquet_of_the_same_rows_have_the_same_fingerprint(model: Model) -> None:
    rows = hours(500).with_columns(temp=pl.when(pl.col("id") % 7 == 0).then(None).otherwise("temp"))
    model.save(rows)
    as_parquet = model.run()
    model.save(rows, "rows.csv")
    as_csv = model.run(source="rows.csv")
    assert as_csv.fingerprint == as_parquet.fingerprint
    assert as_csv.snapshot != as_parquet.snapshot


def test_equal_input_gives_equal_bytes_and_other_input_does_not(model: Model, spoil) -> None:
    model.save(hours(500))
    first = model.run()
    assert model.run().fingerprint == first.fingerprint
    model.save(spoil(hours(500), 400, count=99))
    assert model.run().fingerprint != first.fingerprint


def test_one_file_or_many_files_of_the_same_rows_have_the_same_fingerprint(model: Model) -> None:
    model.save(hours(400))
    whole = model.run()
    (model.folder / "parts").mkdir()
    model.save(hours(150), "parts/0.parquet")
    model.save(hours(250, 150), "parts/1.parquet")
    assert model.run(source="parts").fingerprint == whole.fingerprint
    assert model.run(source="parts/*.parquet").fingerprint == whole.fingerprint


def test_csv_with_bom_quoted_newlines_and_other_scripts_is_read(model: Model) -> None:
    lines = [f'2020-01-{day:02}T00:00:00,"note {day},\n\u65e5\u672c \u00fc",{day}' for day in range(1, 31)]
    text = "\ufeff" + "\r\n".join(["at,note,count", *lines]) + "\r\n"
    (model.folder / "rows.csv").write_bytes(text.encode())
    columns = {"at": {"type": "datetime"}, "note": {"type": "string"}, "count": {"type": "int"}}
    card = model.run(source="rows.csv", columns=columns, key=None)
    assert (card.train.rows, card.test.rows, card.refused) == (28, 2, 0)
    assert model.train["note"][0] == "note 1,\n\u65e5\u672c \u00fc"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", {"7": 7, "-7": -7, "7.0": 7, "+7": 7}, ["7.5", "seven", "1e999", "9223372036854775808"]),
        ("float", {"7": 7.0, "1e3": 1000.0, "-.5": -0.5}, ["NaN", "inf", "1.5.0", "NA"]),
        ("bool", {"true": True, "False": False, "1": True, "0": False}, ["yes", "2"]),
        ("string", {"x": "x", "7": "7", '"a,b"': "a,b"}, []),
        ("date", {"2020-02-29": datetime(2020, 2, 29).date()}, ["2021-02-29", "29.02.2020", "2020-02-29T10:00"]),
        (
            "datetime",
            {
                "2020-01-01": datetime(2020, 1, 1),
                "2020-01-01 05:30": datetime(2020, 1, 1, 5, 30),
                "2020-01-01T05:30": datetime(2020, 1, 1, 5, 30),
                "2020-01-01 05:30:01.25": datetime(2020, 1, 1, 5, 30, 1, 250000),
                "2020-01-01T05:30:00Z": datetime(2020, 1, 1, 5, 30),
                "2020-01-01T05:30:00+02:00": datetime(2020, 1, 1, 3, 30),
                "2020-01-01 05:30:00+02:00": datetime(2020, 1, 1, 3, 30),
            },
            ["01/02/2020", "2020-13-01", "noon"],
        ),
    ],
)
def test_text_becomes_the_declared_type_or_is_refused(model: Model, kind: str, good: dict, bad: list[str]) -> None:
    lines = [f"{number},{text},1" for number, text in enumerate([*good, *bad, *["" for _ in range(200)]])]
    (model.folder / "rows.csv").write_text("\n".join(["id,value,count", *lines]) + "\n", encoding="utf-8")
    columns = {"id": {"type": "int"}, "value": {"type": kind, "nullable": True}, "count": {"type": "int"}}
    model.run(source="rows.csv", columns=columns, time=None, split=BY_KEY, max_refused=0.5)
    kept = pl.concat([model.train, model.test]).sort("id")
    assert kept["value"].drop_nulls().to_list() == list(good.values())
    refused = model.refused["value"].to_list() if bad else []
    assert refused == bad or kind == "float"
    assert kept.height == len(good) + 200


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("int", pl.Series([1.0, 2.5, float("nan"), None]), [1, None, None]),
        ("int", pl.Series([1, 2**63], dtype=pl.UInt64), [1]),
        ("float", pl.Series([1, None]), [1.0, None]),
        ("string", pl.Series([1, 22]), ["1", "22"]),
        ("bool", pl.Series([0, 1, 2]), [False, True]),
        ("date", pl.Series([datetime(2020, 1, 1), datetime(2020, 1, 1, 5)]), [datetime(2020, 1, 1).date()]),
        ("datetime", pl.Series([datetime(2020, 1, 1).date()]), [datetime(2020, 1, 1)]),
        ("int", pl.Series([datetime(2020, 1, 1)]), []),
    ],
)
def test_parquet_values_keep_their_meaning_or_are_refused(
    model: Model, kind: str, given: pl.Series, kept: list
) -> None:
    rows = hours(200).select("id", "count", value=pl.Series(values=[None] * 200, dtype=given.dtype))
    model.save(pl.concat([rows[: 200 - len(given)], rows[200 - len(given) :].with_columns(value=given)]))
    columns = {"id": {"type": "int"}, "value": {"type": kind, "nullable": True}, "count": {"type": "int"}}
    model.run(columns=columns, time=None, split=BY_KEY, max_refused=0.5)
    found = pl.concat([model.train, model.test]).sort("id")
    assert found.filter(pl.col("id") >= 200 - len(given))["value"].to_list() == kept


def test_times_with_a_zone_become_utc(model: Model) -> None:
    model.save(hours(200).with_columns(pl.col("at").dt.replace_time_zone("Asia/Tokyo")))
    model.run()
    assert model.train["at"][9] == datetime(2020, 1, 1)


def test_the_card_tells_columns_roles_units_spans_and_nulls(model: Model, spoil) -> None:
    model.save(spoil(hours(200), 5, temp=None))
    card = model.run()
    assert [(column.name, column.dtype, column.role) for column in card.columns] == [
        ("at", "Datetime(time_unit='us', time_zone=None)", "time"),
        ("count", "Int64", "target"),
        ("id", "Int64", "key"),
        ("open", "Boolean", "input"),
        ("place", "String", "input"),
        ("temp", "Float64", "input"),
    ]
    assert (card.columns[5].unit, card.columns[5].nulls, card.columns[1].nulls) == ("degC", 1, 0)
    assert (card.train.time_from, card.test.time_to) == (datetime(2020, 1, 1), datetime(2020, 1, 9, 7))


def test_columns_that_the_contract_does_not_name_are_dropped(model: Model) -> None:
    model.save(hours(200).with_columns(secret=pl.lit("x")))
    model.run()
    assert model.train.columns == sorted(COLUMNS)


def test_rows_at_or_after_as_of_are_not_seen_nor_judged(model: Model, spoil) -> None:
    model.save(spoil(hours(400), 300, count=-1))
    card = model.run(as_of="2020-01-11")
    assert card.train.rows + card.test.rows == 240
    assert (card.refused, card.as_of, card.test.time_to) == (0, "2020-01-11", datetime(2020, 1, 10, 23))
