"""Recent live inputs as the model sees them, from a table: read, checked and given features as preprocess does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.drift.windows import Window
from components.preprocess.table.contract import conform, kept, refused, rules
from components.preprocess.table.hook import blamed, find, with_features
from components.preprocess.table.order import in_order
from components.preprocess.table.scan import ROW, reading, scan, staged
from components.preprocess.table.survey import before, survey
from delivery.stores.sources import resolve
from training.errors import InputError
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Live:
    """Inputs of the model with their time, and the times of the rows that were refused."""

    rows: "pl.DataFrame"
    time: str
    refused: "pl.Series"
    problem: str = ""
    """Why nothing could be read: the data is bad, not the configuration."""
    empty: "pl.Series | None" = None
    """Times of the events of a request log that hold no rows, such as questions about health."""

    def of(self, window: Window) -> "pl.DataFrame":
        import polars as pl

        time = pl.col(self.time)
        return self.rows.filter((time >= window.start) & (time < window.end))

    def bad_share(self, window: Window) -> float:
        """Of the window's rows those that break the contract."""
        bad = _count(self.refused, window)
        return bad / (bad + len(self.of(window))) if bad else 0.0

    def empty_events(self, window: Window) -> int:
        """Events of the window that hold no rows; they are no bad rows."""
        return 0 if self.empty is None else _count(self.empty, window)


def _count(moments: "pl.Series", window: Window) -> int:
    return int(((moments >= window.start) & (moments < window.end)).sum())


def unreadable(problem: str) -> Live:
    import polars as pl

    moments = pl.Series("time", [], pl.Datetime("us"))
    return Live(pl.DataFrame({"time": moments}), "time", moments, problem)


def table_rows(uri: str, folder: Path, spec: DataSpec, windows: Sequence[Window]) -> Live:
    """Rows of the windows, oldest window first. Features see all earlier rows too, for their lags.

    A refused row without a time counts in the window of the row before it. Raises InputError for a source that can't
    be found, OstinatoError for one that can't be reached. A file that lacks a column is bad data.
    """
    if spec.time is None:
        raise InputError("drift_watch needs data.time, to know which rows are recent; a request log has its own times")
    source = resolve(uri, folder)
    with reading(source.uri), TemporaryDirectory(prefix="ostinato-drift-") as name:
        scratch = Path(name)
        try:
            rows_in_source = scan(source, spec, scratch)
        except InputError as error:
            return unreadable(str(error))
        end = windows[-1].end
        rows = staged(before(conform(rows_in_source, spec), spec, end.isoformat()), source, scratch)
        return _checked(rows, folder, spec, windows[0].start, scratch)


def _checked(rows: "pl.LazyFrame", folder: Path, spec: DataSpec, start: datetime, scratch: Path) -> Live:
    import polars as pl

    assert spec.time
    seen = survey(rows, spec)
    contract = rules(spec, rows.collect_schema(), seen.duplicates)
    placed = rows.select(ROW, when=pl.col(spec.time).cast(pl.Datetime("us")).forward_fill())
    bad = refused(rows, spec, contract).select(ROW).join(placed, on=ROW).collect(engine="streaming")["when"]
    hook = find(folder)
    featured = with_features(in_order(kept(rows, spec, contract), spec, seen, scratch), hook, spec, folder)
    recent = featured.filter(pl.col(spec.time) >= start)
    if hook is None:
        return Live(recent.collect(engine="streaming"), spec.time, bad)
    with blamed(folder, hook):
        return Live(recent.collect(engine="streaming"), spec.time, bad)
