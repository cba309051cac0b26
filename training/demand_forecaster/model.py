"""Hourly bike-rental demand, one day ahead: calendar, weather forecast and lags known a day before."""

import datetime
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingRegressor

HORIZON_HOURS = 24
"""A forecast is made a day ahead: no input may know a count of the last 24 hours."""

LAGS_HOURS = (24, 48, 168, 336)


class Hyperparameters(BaseModel):
    """Of scikit-learn's HistGradientBoostingRegressor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(0.1, gt=0, le=1)
    max_iter: int = Field(200, ge=1, le=5000)
    max_leaf_nodes: int = Field(31, ge=2, le=1024)
    min_samples_leaf: int = Field(20, ge=1)
    l2_regularization: float = Field(0.0, ge=0)


def features(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Inputs of every hour, each known when the forecast is made.

    rows: `ts` (datetime, hourly), `count` (rentals), `tmin` and `tmax` (degrees Celsius), `pn` (mm) of the day.
    Lags are looked up by time, not by position, so a missing hour gives a null and never a shifted lag.
    """
    counts = rows.select("ts", pl.col("count").cast(pl.Float64))
    week_mean = counts.select("ts", count_week_mean=pl.col("count").rolling_mean_by("ts", window_size="1w"))
    day = pl.col("ts").dt.date()
    out = rows.with_columns(
        hour=pl.col("ts").dt.hour().cast(pl.Int64),
        weekday=pl.col("ts").dt.weekday().cast(pl.Int64),
        day_of_year=pl.col("ts").dt.ordinal_day().cast(pl.Int64),
        holiday=day.is_in(federal_holidays()).cast(pl.Int64),
    )
    for hours in LAGS_HOURS:
        lag = counts.select(pl.col("ts").dt.offset_by(f"{hours}h"), pl.col("count").alias(f"count_{hours}h"))
        out = out.join(lag, on="ts", how="left", maintain_order="left")
    known = week_mean.with_columns(pl.col("ts").dt.offset_by(f"{HORIZON_HOURS}h"))
    return out.join(known, on="ts", how="left", maintain_order="left")


def federal_holidays() -> list[datetime.date]:
    """Federal holidays of the United States, 2010 to 2039: the offices of Washington, D.C. close."""
    from pandas import DatetimeIndex
    from pandas.tseries.holiday import USFederalHolidayCalendar

    holidays = DatetimeIndex(USFederalHolidayCalendar().holidays("2010-01-01", "2039-12-31"))
    return [datetime.date.fromisoformat(day) for day in holidays.strftime("%Y-%m-%d")]


def train(
    rows: "pd.DataFrame", target: "pd.Series", hyperparameters: Hyperparameters, seed: int
) -> "HistGradientBoostingRegressor":
    """Fit on rows (n, inputs) and target (n,) rentals per hour; returns the fitted regressor."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    estimator = HistGradientBoostingRegressor(
        loss="poisson",
        categorical_features=["weekday"],  # pyright: ignore[reportArgumentType]
        random_state=seed,
        **hyperparameters.model_dump(),
    )
    return estimator.fit(rows, target)
