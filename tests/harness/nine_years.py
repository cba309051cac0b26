"""Nine years of bike rentals with a virtual clock: what the watch says each week, and which trainings it asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from components.drift.decide import Decided, Seen, WindowReport, decide, report_window
from components.drift.inputs import Live
from components.drift.scores import Baseline
from components.drift.windows import newest_windows
from training.demand_forecaster.model import features
from training.folder import model_spec
from training.spec import DataSpec, DriftWatchSpec
from training.spec.section import parse_duration

ROOT = Path(__file__).parents[2]
FIRST_TRAINED = datetime(2012, 10, 1)
"""Two years of rows: with fewer there are no other years to compare a season with."""
WATCH = model_spec(ROOT, "demand-forecaster").drift_watch or DriftWatchSpec()


@dataclass(frozen=True)
class Week:
    looked: WindowReport
    decided: Decided
    trained: datetime
    """End of the data of the version that was live."""


def bikes() -> pl.DataFrame:
    """The source as it is."""
    return pl.read_parquet(ROOT / "training/demand_forecaster/data/hourly.parquet")


def contract() -> DataSpec:
    spec = model_spec(ROOT, "demand-forecaster").data
    assert isinstance(spec, DataSpec)
    return spec


def featured(rows: pl.DataFrame) -> pl.DataFrame:
    return features(rows.lazy()).collect()


def baseline(rows: pl.DataFrame, trained: datetime, spec: DriftWatchSpec = WATCH) -> Baseline:
    return Baseline(rows.filter(pl.col("ts") < trained), "ts", spec, spec.columns)


def live(rows: pl.DataFrame) -> Live:
    return Live(rows, "ts", pl.Series("when", [], pl.Datetime("us")))


def watch(
    rows: pl.DataFrame,
    start: datetime,
    end: datetime,
    spec: DriftWatchSpec = WATCH,
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows,
) -> list[Week]:
    """Weeks that end in (start, end]; a request for a training is granted at once. rows: with features.

    change: of what comes in; what is trained on is changed too.
    """
    rows = change(rows)
    trained, asked = start, list[datetime]()
    seen: list[Seen] = []
    now = baseline(rows, trained, spec)
    units = {name: column.unit for name, column in contract().columns.items()}
    weeks, clock = [], start
    while (clock := clock + timedelta(days=7)) <= end:
        windows = newest_windows(clock, parse_duration(spec.window), 1, trained)
        if not windows:
            continue
        looked = report_window(now, live(rows), windows[0], spec, units)
        seen.append(looked.seen)
        decided = decide(seen, asked, spec)
        weeks.append(Week(looked, decided, trained))
        if decided.decision == "ask":
            trained = windows[0].end
            asked.append(trained)
            seen, now = [], baseline(rows, trained, spec)
    return weeks


def asks(weeks: list[Week]) -> list[datetime]:
    return [week.looked.seen.end for week in weeks if week.decided.decision == "ask"]
