"""The model folder's features(rows): what it may do, and what its mistakes look like."""

import polars as pl
import pytest
from preprocess.shop import BY_KEY, Model, hours

from training.errors import InputError


def test_lags_are_made_over_the_split_from_rows_in_time_order(model: Model) -> None:
    model.hook('return rows.with_columns(lag=pl.col("count").shift(24))')
    model.save(hours(500).sample(fraction=1, shuffle=True, seed=5))
    card = model.run()
    whole = pl.concat([model.train, model.test])
    assert whole["lag"].to_list() == [None] * 24 + whole["count"].to_list()[:-24]
    assert next(column.nulls for column in card.columns if column.name == "lag") == 24


def test_a_hook_may_drop_rows_and_columns(model: Model) -> None:
    model.hook('return rows.filter(pl.col("temp") > 1).drop("place")')
    model.save(hours(500))
    card = model.run()
    assert card.train.rows + card.test.rows < 500
    assert "place" not in model.train.columns


def test_refused_rows_never_reach_the_hook(model: Model, spoil) -> None:
    model.hook('return rows.with_columns(worst=pl.col("count").max())')
    model.save(spoil(hours(500), 7, count=10**6).with_columns(pl.col("count")))
    model.run(columns={**model.spec().model_dump(mode="json")["columns"], "count": {"type": "int", "max": 1000}})
    assert model.train["worst"].max() == 99


def test_a_model_without_the_hook_keeps_its_rows(model: Model) -> None:
    (model.folder / "model.py").write_text("'''Has no features.'''\n")
    model.save(hours(500))
    card = model.run(split=BY_KEY)
    assert card.train.rows + card.test.rows == 500


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "model.py, line 5: ZeroDivisionError: division by zero"),
        ('raise KeyError("weather")', "model.py, line 5: KeyError: 'weather'"),
        ('return rows.with_columns(pl.col("cuont") + 1)', "ColumnNotFoundError"),
        ("return rows.collect()", "returned DataFrame"),
        ('return rows.drop("count")', "the target 'count' is missing after features()"),
        ('return rows.with_columns(pl.col("at").cast(pl.Date))', "the time 'at' is Date after features()"),
        ('return rows.rename({"id": "number"})', "the key 'id' is missing after features()"),
        ("return pl.concat([rows, rows])", "made 1000 rows of 500"),
        ("return rows.reverse()", "changed the order of the rows"),
        ('return rows.with_columns(pl.col("place").cast(pl.Int64))', "line 4: InvalidOperationError"),
        ('return rows.with_columns(pl.col("temp").map_batches(lambda s: 1 / 0, pl.Float64))', "ZeroDivisionError"),
    ],
)
def test_a_wrong_hook_is_named_with_its_file_and_leaves_nothing(model: Model, body: str, words: str) -> None:
    model.hook(body)
    model.save(hours(500))
    with pytest.raises(InputError) as caught:
        model.run()
    assert words in str(caught.value)
    assert "model.py" in str(caught.value)
    assert model.left_behind() == []


def test_a_model_file_that_fails_on_import_is_named(model: Model) -> None:
    (model.folder / "model.py").write_text("limit = int('ten')\ndef features(rows): return rows\n")
    model.save(hours(500))
    with pytest.raises(InputError, match=r"model\.py, line 1: ValueError"):
        model.run()
