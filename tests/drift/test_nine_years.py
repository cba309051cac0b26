"""The watch over nine years of real data: rarely, and for reasons; and what is put into the data is found."""

import itertools
from datetime import datetime, timedelta

import polars as pl
import pytest
from harness.nine_years import FIRST_TRAINED, WATCH, Week, asks, bikes, contract, featured, live, watch

from components.drift.decide import report_window
from components.drift.inputs import Live, table_rows
from components.drift.windows import Window

LAST = datetime(2019, 9, 1)
QUIET = datetime(2018, 10, 1)
"""A time in which nothing was asked for."""


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return featured(bikes())


@pytest.fixture(scope="module")
def years(rows: pl.DataFrame) -> list[Week]:
    return watch(rows, FIRST_TRAINED, LAST)


def test_a_few_trainings_in_seven_years_within_cool_down_and_budget(years: list[Week]):
    asked = asks(years)
    assert 1 <= len(asked) <= 10
    assert all(later - earlier >= timedelta(weeks=4) for earlier, later in itertools.pairwise(asked))
    months = [(one.year, one.month) for one in asked]
    assert len(months) == len(set(months)), "the budget is one a month"


def test_real_weeks_drift_about_as_often_as_the_threshold_says_and_none_is_bad_data(years: list[Week]):
    findings = [week.looked.seen.finding for week in years]
    assert 0.02 < findings.count("drift") / len(findings) < 0.12
    assert "bad data" not in findings


def test_nothing_is_asked_for_unless_the_newest_and_two_more_of_four_weeks_drifted(years: list[Week]):
    for at, week in enumerate(years):
        if week.decided.decision == "ask":
            recent = [one.looked.seen.finding for one in years[max(0, at - 3) : at + 1]]
            assert recent[-1] == "drift" and recent.count("drift") >= 3


def test_one_strange_week_asks_for_nothing(rows: pl.DataFrame):
    start = QUIET + timedelta(weeks=6)
    weeks = watch(rows, QUIET, QUIET + timedelta(weeks=16), change=_warmer(start, start + timedelta(days=7), by=25))
    assert any(week.looked.seen.finding == "drift" for week in weeks)
    assert not asks(weeks)


def test_a_lasting_shift_is_found_within_four_windows(rows: pl.DataFrame):
    """Twice the demand, and warmer: from a Monday on."""
    start = datetime(2018, 11, 12)

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        counts = [pl.col(name) * 2 for name in ("count_24h", "count_168h", "count_week_mean")]
        later = _warmer(start, LAST, by=25)(rows)
        return later.with_columns(pl.when(pl.col("ts") >= start).then(one).otherwise(one / 2) for one in counts)

    weeks = watch(rows, QUIET, QUIET + timedelta(weeks=16), change=change)
    assert start < asks(weeks)[0] <= start + timedelta(weeks=4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.lit(21.5).alias("tmax"), "tmax is stuck: 100% of the values are 21.5"),
        ((pl.col("tmin") + 273.15).alias("tmin"), "tmin looks like K where degC of the day is wanted"),
        ((pl.col("tmax") * 9 / 5 + 32).alias("tmax"), "tmax looks like degF where degC of the day is wanted"),
        (pl.lit(None, pl.Float64).alias("count_24h"), "count_24h is missing in 100% of the rows"),
    ],
)
def test_what_no_row_tells_by_itself_is_bad_data_and_no_drift(rows: pl.DataFrame, change: pl.Expr, said: str):
    start = datetime(2018, 12, 3)
    changed = pl.when(pl.col("ts") >= start).then(change).otherwise(pl.col(change.meta.output_name()))
    weeks = watch(
        rows,
        QUIET,
        start + timedelta(weeks=3),
        change=lambda rows: rows.with_columns(changed.alias(change.meta.output_name())),
    )
    injected = [week for week in weeks if week.looked.seen.end > start]
    assert len(injected) == 3
    for week in injected:
        assert week.looked.seen.finding == week.decided.decision == "bad data"
        assert said in week.decided.reason
    assert not asks(weeks)


def test_rows_that_break_the_contract_are_bad_data(rows: pl.DataFrame, tmp_path):
    window = Window(datetime(2018, 7, 2), datetime(2018, 7, 9))
    changed = pl.when(pl.col("ts") >= window.start).then(pl.col("tmax") * 10).otherwise("tmax").alias("tmax")
    bikes().with_columns(changed).write_parquet(tmp_path / "rows.parquet")
    found = _looked(rows, table_rows(str(tmp_path / "rows.parquet"), tmp_path, contract(), [window]), window)
    assert found.finding == "bad data" and "100.0% of the rows break data.columns" in found.reason


def test_a_missing_column_is_bad_data(rows: pl.DataFrame, tmp_path):
    window = Window(datetime(2018, 7, 2), datetime(2018, 7, 9))
    bikes().drop("pn").write_parquet(tmp_path / "rows.parquet")
    found = _looked(rows, table_rows(str(tmp_path / "rows.parquet"), tmp_path, contract(), [window]), window)
    assert found.finding == "bad data" and "no column 'pn'" in found.reason


def test_a_window_without_enough_rows_says_nothing(rows: pl.DataFrame):
    window = Window(datetime(2018, 7, 2), datetime(2018, 7, 9))
    found = _looked(rows, live(rows.filter(pl.col("ts") < datetime(2018, 7, 3))), window)
    assert found.finding == "too few rows" and found.rows == 24


def _looked(rows: pl.DataFrame, of: Live, window: Window):
    from harness.nine_years import baseline

    return report_window(baseline(rows, datetime(2018, 6, 1)), of, window, WATCH, {}).seen


def _warmer(start: datetime, end: datetime, by: float):
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        inside = (pl.col("ts") >= start) & (pl.col("ts") < end)
        return rows.with_columns(pl.when(inside).then(pl.col(name) + by).otherwise(name) for name in ("tmin", "tmax"))

    return change
