"""Which side of the split a row is on: by time, or by a hash of its key that never changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from training.errors import InputError
from training.spec import DataSpec, parse_duration

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: the increment of SplitMix64."""


MARK = "_mark"
"""Column that holds the value of :attr:`Sides.mark` while rows are parted."""


@dataclass(frozen=True)
class Sides:
    """Two boolean expressions that are never both true; a row with neither is left out."""

    test: "pl.Expr"
    train: "pl.Expr"
    words: str
    """The rule in words."""
    mark: "pl.Expr | None" = None
    """What both read from the column :data:`MARK`, so that it is worked out once."""


def sides(spec: DataSpec, last: datetime | None) -> Sides:
    """The sides of the split; ``last`` is the latest time of the data, needed for a split by time.

    By time: test is what is later than ``last - test``; train is what is no later than ``last - test -
    embargo``; rows between them are left out. By key: see :func:`on_test_side`.
    """
    import polars as pl

    rule = spec.split
    if rule.by == "key":
        words = f"{keys(spec)}: {rule.test:.4g} of them are tested, by a stable hash"
        return Sides(pl.col(MARK), ~pl.col(MARK), words, mark=on_test_side(spec, rule.test))
    if last is None:
        raise InputError(f"no row has a valid {spec.time!r}, so there is nothing to split by time")
    time = pl.col(spec.time or "").cast(pl.Datetime("us"))
    start = last - parse_duration(rule.test)
    end = start - parse_duration(rule.embargo) if rule.embargo else start
    words = f"time {spec.time}: tested after {start.isoformat()}, trained up to {end.isoformat()}"
    return Sides(time > start, time <= end, words)


def keys(spec: DataSpec) -> str:
    return f"keys in {spec.key}" if spec.key else "whole rows as keys"


def on_test_side(spec: DataSpec, share: float) -> "pl.Expr":
    """Whether the row's hash is below ``share`` of the range: a larger share only moves rows from train to test."""
    import polars as pl

    return identity(spec) < pl.lit(below(share), pl.UInt64)


def below(share: float) -> int:
    """The bound of a 64-bit hash that a share of all values is below."""
    return min(int(share * 2**64), 2**64 - 1)


def identity(spec: DataSpec) -> "pl.Expr":
    """64-bit hash of the key, or without one of all the contract's columns, so that equal rows have equal hashes.

    Raises InputError for a float key, whose text is not the same everywhere.
    """
    import polars as pl

    if spec.key is None:
        values = pl.struct(_comparable(name, spec) for name in sorted(spec.columns))
        return values.map_batches(_hash_rows, return_dtype=pl.UInt64, is_elementwise=True)
    if spec.columns[spec.key].type == "float":
        raise InputError(
            f"data.key {spec.key!r} is a float column; a key must be an int, a string, a date or a datetime"
        )
    return _comparable(spec.key, spec).map_batches(_hash_series, return_dtype=pl.UInt64, is_elementwise=True)


def _comparable(name: str, spec: DataSpec) -> "pl.Expr":
    """The column as float64, or as text that is the same everywhere."""
    import polars as pl

    kind = spec.columns[name].type
    if kind == "float":
        return pl.col(name).cast(pl.Float64)
    form = {"date": "%Y-%m-%d", "datetime": "%Y-%m-%dT%H:%M:%S%.6f"}.get(kind)
    return pl.col(name).dt.strftime(form) if form else pl.col(name).cast(pl.String)


def hash_keys(texts: "pl.Series") -> "np.ndarray":
    """64-bit hash of each string, as uint64 of the same length; missing texts hash like empty ones.

    The UTF-8 bytes of the key's text (an int in decimal, a date as 2018-06-01, a time as
    2018-06-01T12:00:00.000000) are padded with zeros to
    whole little-endian 64-bit words. With n bytes before padding, and all modulo 2**64::

        h = n
        for each word w:  h = mix(h ^ w)

        mix(z):  z = z + 0x9E3779B97F4A7C15
                 z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
                 z = (z ^ z >> 27) * 0x94D049BB133111EB
                 return z ^ z >> 31

    ``mix`` is a step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Nothing in it depends on a process, on
    a library's version, or on other rows.
    """
    import numpy as np
    import polars as pl

    arrow = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = arrow.buffers()
    bounds = np.frombuffer(offsets, np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    lengths = np.diff(bounds)
    padded = np.zeros(int(bounds[-1]) + 8, np.uint8)
    padded[: bounds[-1]] = np.frombuffer(data or b"", np.uint8)[: bounds[-1]]
    word_at = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
    masks = np.array([2 ** (8 * count) - 1 for count in range(9)], np.uint64)

    hashes = lengths.astype(np.uint64)
    active, at = np.arange(len(hashes)), 0
    while len(active := active[lengths[active] > at]):
        words = word_at[bounds[active] + at] & masks[np.minimum(lengths[active] - at, 8)]
        hashes[active] = _mix(hashes[active] ^ words)
        at += 8
    return hashes


def _mix(z: "np.ndarray") -> "np.ndarray":
    import numpy as np

    z = z + np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _hash_series(texts: "pl.Series") -> "pl.Series":
    import polars as pl

    return pl.Series(texts.name, hash_keys(texts))


def _hash_rows(rows: "pl.Series") -> "pl.Series":
    """Of each row ``h = mix(h ^ hash of the value)`` over its values; a float's hash is the mix of its 64 bits."""
    import numpy as np
    import polars as pl

    hashes = np.zeros(len(rows), np.uint64)
    for values in rows.struct.unnest():
        if values.dtype == pl.Float64:
            numbers = values.to_numpy() + 0.0  # makes a zero of a negative zero, and a copy
            numbers[np.isnan(numbers)] = np.nan  # one pattern of bits for all that is no number, missing included
            hashes = _mix(hashes ^ _mix(numbers.view(np.uint64)))
        else:
            hashes = _mix(hashes ^ hash_keys(values))
    return pl.Series(rows.name, hashes)
