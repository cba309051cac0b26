"""Conversations as they are written: rows of JSONL or Parquet files, each with the place that it was read at."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from components.preprocess.card import MESSAGES
from delivery.stores.sources import Source, fetch
from training.errors import InputError, did_you_mean

_PAIRS = (("prompt", "completion"), ("prompt", "response"), ("instruction", "output"), ("question", "answer"))
"""Columns of other common layouts: what is asked, and what is answered."""


@dataclass(frozen=True, slots=True)
class Written:
    """A row, nothing of it checked."""

    field: Literal["source", "test"]
    """Of the spec's data section: where it came from."""
    number: int
    """In the source, from 1; several files are counted through, empty lines are not counted."""
    place: str
    """File and line, or file and row, for a person."""
    values: dict[str, Any]
    """Of `messages`, the key and the labels; one that is not there is missing here too."""


def read_written(
    field: Literal["source", "test"], source: Source, columns: Collection[str], scratch: Path, first: int | None = None
) -> list[Written]:
    """The rows of all files, or the ``first`` ones, in order.

    What is not on this machine is copied into ``scratch``. Raises InputError with file and line for what is no JSONL,
    for a column that no row of a file has, with the nearest one that it has, and if there is no row at all.
    """
    rows: list[Written] = []
    for name, path in _local_files(source, scratch):
        written = _jsonl(name, path, columns) if source.format == "jsonl" else _parquet(name, path, columns, first)
        left = None if first is None else first - len(rows)
        rows += [
            Written(field, number, place, values)
            for number, (place, values) in enumerate(islice(written, left), len(rows) + 1)
        ]
        if first is not None and len(rows) >= first:
            break
    if not rows:
        raise InputError(f"{source.uri} holds no conversations; data.{field} names it")
    return rows


def _local_files(source: Source, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Name for a person, and path."""
    for number, file in enumerate(source.files):
        if source.scheme == "file":
            yield file, Path(file)
            continue
        copy = scratch / f"conversations-{number}.{source.format}"
        fetch(file, scratch, copy)
        yield file, copy


def _jsonl(name: str, path: Path, columns: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: set[str] = set()
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            place = f"{name}, line {line}"
            if not (text := _decoded(place, raw)).strip():
                continue
            row = _parsed(place, text)
            seen |= row.keys()
            yield place, {column: row[column] for column in columns if column in row}
    if seen:
        _check_columns(name, columns, seen)


def _decoded(place: str, raw: bytes) -> str:
    try:
        return raw.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: byte {error.start + 1} is not UTF-8 text; save the file as UTF-8") from error


def _parsed(place: str, text: str) -> dict[str, Any]:
    form = 'each line is one object, such as {"messages": [...]}'
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: no JSON: {error.msg} at character {error.pos + 1}; {form}") from error
    except RecursionError as error:
        raise InputError(f"{place}: no JSON that can be read: it is nested too deep; {form}") from error
    if not isinstance(row, dict):
        raise InputError(f"{place}: no JSON object, but {text.strip()[:40]!r}; {form}")
    return row


def _parquet(
    name: str, path: Path, columns: Collection[str], first: int | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    import polars as pl

    rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        header = list(rows.collect_schema())
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{name} cannot be read: it is no Parquet file") from error
    _check_columns(name, columns, header)
    selected = rows.select(columns)
    for number, values in enumerate(
        (selected if first is None else selected.head(first)).collect().iter_rows(named=True)
    ):
        yield f"{name}, row {number + 1}", values


def _check_columns(name: str, columns: Collection[str], known: Collection[str]) -> None:
    if MESSAGES not in known:
        raise InputError(f"{name} has no column {MESSAGES!r}{_conversion(known)}")
    for column in columns:
        if column not in known:
            raise InputError(
                f"{name} has no column {column!r}, which data.key or data.labels names. {did_you_mean(column, known)}"
            )


def _conversion(known: Collection[str]) -> str:
    """How to make `messages` of another layout."""
    for asked, answered in _PAIRS:
        if asked in known and answered in known:
            return (
                f', but {asked!r} and {answered!r}; write each row as {{"messages": [{{"role": "user", "content": '
                f'<{asked}>}}, {{"role": "assistant", "content": <{answered}>}}]}}'
            )
    if "conversations" in known:
        return (
            ", but 'conversations'; rename it to messages, and in it `from` to role (human is user, gpt is assistant) "
            "and `value` to content"
        )
    return f". {did_you_mean(MESSAGES, known)}"
