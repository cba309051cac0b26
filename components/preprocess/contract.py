"""The data contract as Polars expressions: what every value must be, and why a row is refused.

All of it works on one chunk of rows at a time, so the data may be larger than memory. Uniqueness, which
needs to see all rows, is prepared by :mod:`components.preprocess.survey`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components.preprocess.scan import ROW
from training.errors import InputError
from training.spec import Column, DataSpec

if TYPE_CHECKING:
    import polars as pl

REASONS = "_reasons"
_REFUSED = "_refused"

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


@dataclass(frozen=True)
class Judged:
    """Rows of a source, parted by the contract."""

    kept: "pl.LazyFrame"
    """Rows without a fault, in the contract's types, after the row number."""
    refused: "pl.LazyFrame"
    """Row number, list of reasons, and the values as the source wrote them."""
    rules: tuple[Rule, ...]


def judge(rows: "pl.LazyFrame", spec: DataSpec, duplicates: "Mapping[str, pl.Series]") -> Judged:
    """Part rows into kept and refused.

    ``duplicates`` holds, for a unique column, the numbers of the rows that repeat an earlier value. Both
    results come from one scan when they are collected together.
    """
    import polars as pl

    schema = rows.collect_schema()
    raw = {name: name if schema[name] == dtype_of(column) else f"_raw:{name}" for name, column in spec.columns.items()}
    changed = {name: column for name, column in spec.columns.items() if raw[name] != name}
    rules = tuple(
        Rule(name, what, broken)
        for name, column in spec.columns.items()
        for what, broken in _faults(name, raw[name], column, spec, duplicates)
    )
    marked = (
        rows.with_columns(written(pl.col(name), schema[name], column).alias(raw[name]) for name, column in changed.items())
        .with_columns(typed(pl.col(raw[name]), schema[name], column).alias(name) for name, column in changed.items())
        .with_columns(pl.any_horizontal(rule.broken for rule in rules).fill_null(False).alias(_REFUSED))
    )
    reasons = pl.concat_list(pl.when(rule.broken).then(pl.lit(rule.reason)) for rule in rules).list.drop_nulls()
    return Judged(
        kept=marked.filter(~pl.col(_REFUSED)).select(ROW, *spec.columns),
        refused=marked.filter(_REFUSED).select(
            ROW, reasons.alias(REASONS), *(pl.col(raw[name]).alias(name) for name in spec.columns)
        ),
        rules=rules,
    )


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

    wanted = dtype_of(column)
    if wanted == pl.String:
        return value.cast(wanted, strict=False)
    if given in (pl.String, pl.Categorical, pl.Enum, pl.Binary):
        return _parsed(value.cast(pl.String, strict=False), column)
    if given in (pl.Time, pl.Duration) or given.is_temporal() != wanted.is_temporal():
        return pl.lit(None, wanted)
    if isinstance(given, pl.Datetime) and given.time_zone:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        given = pl.Datetime(given.time_unit)
    cast = value.cast(wanted, strict=False)
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
    name: str, raw: str, column: Column, spec: DataSpec, duplicates: "Mapping[str, pl.Series]"
) -> "Iterator[tuple[str, pl.Expr]]":
    """What may be wrong with a value, in words, and the expression that is true if it is."""
    import polars as pl

    value, missing = pl.col(name), pl.col(raw).is_null()
    if not column.nullable or name in (spec.target, spec.time, spec.key):
        yield "missing", missing
    if raw != name:
        yield f"not {_article(column.type)}", value.is_null() & ~missing
    if column.type == "float":
        yield "not finite", ~value.is_finite()
    if column.min is not None:
        yield f"below {column.min:g}", value < column.min
    if column.max is not None:
        yield f"above {column.max:g}", value > column.max
    if column.allowed:
        yield "not an allowed value", ~value.is_in(_allowed(name, column))
    if name == spec.time:
        yield "in the future", in_future(value)
    if name in duplicates and len(duplicates[name]):
        yield "seen before", pl.col(ROW).is_in(duplicates[name].implode())


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
