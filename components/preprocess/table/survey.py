"""What must be known before the rows are read in full: the last time, their order, and repeated values.

Reads the time column and the unique columns only, in chunks; what is held in memory is eight bytes a row of
a unique column, and at most :data:`HASHES_AT_ONCE` rows of those.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.preprocess.table.contract import in_future
from components.preprocess.table.scan import ROW
from training.errors import InputError
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

HASHES_AT_ONCE = 50_000_000


@dataclass(frozen=True)
class Survey:
    rows: int
    """Rows that were seen: all, or those before as_of."""
    last: datetime | None = None
    """Latest time that is not in the future; None without a time column or a valid time."""
    ordered: bool = True
    """Whether the times never fall; true without a time column."""
    duplicates: "dict[str, pl.Series]" = field(default_factory=dict)
    """For each unique column the numbers of the rows that repeat an earlier value."""


def before(rows: "pl.LazyFrame", spec: DataSpec, as_of: str) -> "pl.LazyFrame":
    """Of conformed rows those with a time before ``as_of`` (ISO), and those without a time, to be refused later."""
    import polars as pl

    if not as_of:
        return rows
    if spec.time is None:
        raise InputError(f"as_of is {as_of!r}, but data.time is not set: name the column that orders the rows")
    time = pl.col(spec.time)
    return rows.filter((time < parse_as_of(as_of)) | time.is_null())


def parse_as_of(text: str) -> datetime:
    """An ISO date (its first moment) or time; an offset is converted to UTC. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"as_of is {text!r}; write an ISO date or time, such as 2018-06-01") from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def survey(rows: "pl.LazyFrame", spec: DataSpec) -> Survey:
    """Look at the time column and the unique columns of conformed rows."""
    import polars as pl

    if spec.time is None:
        count = rows.select(pl.len()).collect(engine="streaming").item()
        return Survey(count, duplicates=_duplicates(rows, spec, count))
    time = pl.col(spec.time)
    valid = pl.when(~in_future(time)).then(time)
    facts = (
        rows.select(valid.alias("time"))
        .select(
            rows=pl.len(),
            last=pl.col("time").max().cast(pl.Datetime("us")),
            falls=(pl.col("time").drop_nulls().diff() < pl.duration()).any(),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    duplicates = _duplicates(rows, spec, facts["rows"])
    return Survey(facts["rows"], facts["last"], not facts["falls"], duplicates)


def _duplicates(rows: "pl.LazyFrame", spec: DataSpec, count: int) -> "dict[str, pl.Series]":
    unique = [name for name, column in spec.columns.items() if column.unique]
    return {name: repeats(rows.select(ROW, name), name, count) for name in unique}


def repeats(rows: "pl.LazyFrame", name: str, count: int) -> "pl.Series":
    """Numbers of the rows whose value occurred in an earlier row. Missing values never count.

    Exact: a hash finds the few candidates, which are then compared by value. The hashes are looked at in
    shares, so that memory is bounded.
    """
    import polars as pl

    shares = 1 + count // HASHES_AT_ONCE
    hashed = rows.drop_nulls(name).with_columns(hash=pl.col(name).hash())
    repeats = [pl.Series(ROW, [], pl.UInt32)]
    for share in range(shares):
        part = hashed.filter(pl.col("hash") % shares == share) if shares > 1 else hashed
        hashes = part.select("hash").collect(engine="streaming")["hash"].sort(in_place=True)
        twice = hashes.filter(hashes == hashes.shift(1)).unique()
        if len(twice):
            candidates = part.filter(pl.col("hash").is_in(twice.implode())).collect(engine="streaming").sort(ROW)
            repeats.append(candidates.filter(~pl.col(name).is_first_distinct())[ROW])
    return pl.concat(repeats)
