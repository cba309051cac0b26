"""No input of the demand forecaster knows what could not be known a day before."""

from datetime import datetime, timedelta
from types import ModuleType

import polars as pl
import pytest
from harness.command_line import ROOT

from training.folder import load_module

FOLDER = ROOT / "training" / "demand_forecaster"
DAY = datetime(2015, 5, 20, 12)


@pytest.fixture(scope="module")
def model() -> ModuleType:
    return load_module(FOLDER)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    every = pl.read_parquet(FOLDER / "data" / "hourly.parquet")
    return every.filter(pl.col("ts").is_between(datetime(2015, 4, 1), datetime(2015, 7, 1)))


def test_the_data_are_the_rows_that_their_readme_describes() -> None:
    every = pl.read_parquet(FOLDER / "data" / "hourly.parquet")
    assert every.height == 78_421
    assert every["ts"].min() == datetime(2010, 9, 20, 12) and every["ts"].max() == datetime(2019, 9, 1)
    assert every["ts"].diff().drop_nulls().unique().to_list() == [timedelta(hours=1)]


def test_a_changed_count_moves_no_input_of_the_next_23_hours_or_before(model: ModuleType, rows: pl.DataFrame) -> None:
    before = model.features(rows.lazy()).collect()
    other = rows.with_columns(count=pl.when(pl.col("ts") == DAY).then(9999).otherwise(pl.col("count")).cast(pl.Int32))
    after = model.features(other.lazy()).collect()
    inputs = [name for name in before.columns if name not in ("ts", "count")]
    known_by = pl.col("ts") < DAY + timedelta(hours=24)
    assert before.filter(known_by).select(inputs).equals(after.filter(known_by).select(inputs))
    first = before.filter(~known_by).select(inputs).row(0)
    assert first != after.filter(~known_by).select(inputs).row(0), "the count is used, a day later"


def test_a_missing_hour_gives_an_empty_lag_and_never_a_shifted_one(model: ModuleType, rows: pl.DataFrame) -> None:
    missing = model.features(rows.filter(pl.col("ts") != DAY).lazy()).collect()
    whole = model.features(rows.lazy()).collect()
    at = pl.col("ts") == DAY + timedelta(hours=24)
    assert missing.filter(at)["count_24h"].to_list() == [None]
    later = pl.col("ts") == DAY + timedelta(hours=25)
    assert missing.filter(later)["count_24h"].to_list() == whole.filter(later)["count_24h"].to_list()


def test_holidays_are_those_of_washington(model: ModuleType) -> None:
    days = {day.isoformat() for day in model.federal_holidays()}
    assert {"2015-07-03", "2018-12-25", "2019-01-21"} <= days
    assert "2015-07-04" not in days, "a Saturday: the Friday before is free"
