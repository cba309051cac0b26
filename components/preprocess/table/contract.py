"""The data contract as Polars expressions: what every value must be, and why a row is refused.

All of it works on one chunk of rows at a time, so the data may be larger than memory. Uniqueness, which
needs to see all rows, is prepared by :mod:`components.preprocess.table.survey`.
"""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components.preprocess.table.scan import ROW
from training.errors import InputError
from training.spec import Column, DataSpec

if TYPE_CHECKING:
    import polars as pl

REASONS = "_reasons"

_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
_OFFSET_FORMAT = "%+"
_BOOLS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@dataclass(frozen=True)
class Rule:
    """A reason to refuse a row: ``broken`` is true (null counts as false) where the column breaks it."""

    column: str
    name: str
    broken: "pl.Expr"

    @property
    def reason(self) -> str:
        return f"{self.column}: {self.name}"


def conform(rows: "pl.LazyFrame", spec: DataSpec) -> "pl.LazyFrame":
    """Each column in the contract's type, after the row number.

    Where the source has another type, :func:`leftover` columns hold as text what could not be converted.
    """
    import polars as pl

    schema = rows.collect_schema()
    changed = {name: column for name, column in spec.columns.items() if schema[name] != dtype_of(column)}
    converted = [typed(pl.col(name), schema[name], column).alias(name) for name, column in changed.items()]
    lost = [
        pl.when(pl.col(name).is_null()).then(pl.col(_source(name)).cast(pl.String, strict=False)).alias(leftover(name))
        for name in changed
    ]
    given = [written(pl.col(name), schema[name], column).alias(_source(name)) for name, column in changed.items()]
    rows = rows.with_columns(given).with_columns(converted).with_columns(lost)
    return rows.select(ROW, *spec.columns, *(leftover(name) for name in changed))


def leftover(name: str) -> str:
    """Name of the column with the text of values that did not convert; null where they did, or nothing was given."""
    return f"_not:{name}"


def rules(spec: DataSpec, columns: Container[str], duplicates: "Mapping[str, pl.Series]") -> tuple[Rule, ...]:
    """Every reason for which a conformed row may be refused.

    ``columns`` are the conformed rows' own; ``duplicates`` holds, for a unique column, the numbers of the rows
    that repeat an earlier value.
    """
    return tuple(
        Rule(name, what, broken)
        for name, column in spec.columns.items()
        for what, broken in _faults(name, column, spec, leftover(name) in columns, duplicates.get(name))
    )


def kept(rows: "pl.LazyFrame", spec: DataSpec, rules: tuple[Rule, ...]) -> "pl.LazyFrame":
    """Row number and columns of the rows that break no rule."""
    return rows.filter(~_broken(rules)).select(ROW, *spec.columns)


def refused(rows: "pl.LazyFrame", spec: DataSpec, rules: tuple[Rule, ...]) -> "pl.LazyFrame":
    """Row number, list of reasons and values of the other rows; as text where the source had another type."""
    import polars as pl

    columns = rows.collect_schema()
    reasons = pl.concat_list(pl.when(rule.broken).then(pl.lit(rule.reason)) for rule in rules).list.drop_nulls()
    values = [
        pl.coalesce(leftover(name), pl.col(name).cast(pl.String)).alias(name) if leftover(name) in columns else name
        for name in spec.columns
    ]
    return rows.filter(_broken(rules)).select(ROW, reasons.alias(REASONS), *values)


def _broken(rules: tuple[Rule, ...]) -> "pl.Expr":
    import polars as pl

    return pl.any_horizontal(rule.broken for rule in rules).fill_null(False)


def _source(name: str) -> str:
    return f"_source:{name}"


def dtype_of(column: Column) -> "pl.DataType":
    """The type of a column after preprocess. Times are UTC, or local times without a zone, in microseconds."""
    import polars as pl

    return {
        "int": pl.Int64(),
        "float": pl.Float64(),
        "string": pl.String(),
        "bool": pl.Boolean(),
        "datetime": pl.Datetime("us"),
        "date": pl.Date(),
    }[column.type]


def written(value: "pl.Expr", given: "pl.DataType", column: Column) -> "pl.Expr":
    """The value as the source has it, and null where nothing was written.

    That is empty text where no string is wanted, and NaN where an int is wanted (how pandas stores a missing one).
    """
    import polars as pl

    if given == pl.String and column.type != "string":
        return pl.when(value != "").then(value)
    return value.fill_nan(None) if given.is_float() and column.type == "int" else value


def typed(value: "pl.Expr", given: "pl.DataType", column: Column) -> "pl.Expr":
    """The value in the contract's type, and null where that would change it: `1.5` is no int, `abc` no float.

    Text is parsed, dates and times as ISO 8601. Times with an offset or a zone become UTC.
    """
    import polars as pl

    dtype = dtype_of(column)
    if dtype == pl.String:
        return value.cast(dtype, strict=False)
    if given in (pl.String, pl.Categorical, pl.Enum, pl.Binary):
        return _parsed(value.cast(pl.String, strict=False), column)
    if given in (pl.Time, pl.Duration) or given.is_temporal() != dtype.is_temporal():
        return pl.lit(None, dtype)
    if isinstance(given, pl.Datetime) and given.time_zone:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        given = pl.Datetime(given.time_unit)
    cast = value.cast(dtype, strict=False)
    exact = column.type in ("float", "datetime") or (column.type == "int" and given.is_integer())
    return cast if exact else pl.when(cast.cast(given, strict=False) == value).then(cast)


def _parsed(text: "pl.Expr", column: Column) -> "pl.Expr":
    import polars as pl

    match column.type:
        case "int":
            number = text.cast(pl.Float64, strict=False)
            whole = pl.when(number == number.round()).then(number).cast(pl.Int64, strict=False)
            return pl.coalesce(text.cast(pl.Int64, strict=False), whole)
        case "bool":
            return text.str.to_lowercase().replace_strict(_BOOLS, default=None, return_dtype=pl.Boolean)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False)
        case "datetime":
            offset = text.str.to_datetime(_OFFSET_FORMAT, time_unit="us", time_zone="UTC", strict=False)
            return pl.coalesce(
                *(text.str.to_datetime(form, time_unit="us", strict=False) for form in _TIME_FORMATS),
                text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
                offset.dt.replace_time_zone(None),
            )
        case _:
            return text.cast(dtype_of(column), strict=False)


def in_future(time: "pl.Expr") -> "pl.Expr":
    """Later than now anywhere on Earth (UTC+14), for a time without a zone may be a local one."""
    return time > datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=14)


def _faults(
    name: str, column: Column, spec: DataSpec, converted: bool, repeats: "pl.Series | None"
) -> "Iterator[tuple[str, pl.Expr]]":
    """What may be wrong with a value, in words, and the expression that is true if it is."""
    import polars as pl

    value = pl.col(name)
    not_converted = pl.col(leftover(name)).is_not_null()
    if not column.nullable or name in (spec.target, spec.time, spec.key):
        yield "missing", value.is_null() & ~not_converted if converted else value.is_null()
    if converted:
        yield f"not {_article(column.type)}", not_converted
    if column.type == "float":
        yield "not finite", ~value.is_finite()
    if column.min is not None:
        yield f"below {column.min:g}", value < (math.ceil(column.min) if column.type == "int" else column.min)
    if column.max is not None:
        yield f"above {column.max:g}", value > (math.floor(column.max) if column.type == "int" else column.max)
    if column.allowed:
        yield "not an allowed value", ~value.is_in(_allowed(name, column))
    if name == spec.time:
        yield "in the future", in_future(value)
    if repeats is not None and len(repeats):
        yield "seen before", pl.col(ROW).is_in(repeats.implode())


def _allowed(name: str, column: Column) -> "pl.Series":
    """The allowed values in the column's type; they are read as if they stood in a CSV file."""
    import polars as pl

    text = pl.DataFrame({name: [str(value) for value in column.allowed]})
    values = text.select(typed(pl.col(name), pl.String(), column))[name]
    if values.null_count():
        wrong = column.allowed[values.is_null().arg_true()[0]]
        raise InputError(f"data.columns.{name}.allowed holds {wrong!r}, which is not {_article(column.type)}")
    return values.implode()


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "int" else f"a {kind}"
