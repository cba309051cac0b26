"""From a source to a lazy frame that holds the contract's columns as they are written, and a row number."""

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.stores.bigquery import fetch_table
from delivery.stores.sources import STORES, Source, fetch
from training.errors import InputError, OstinatoError, did_you_mean
from training.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

ROW = "_row"
"""Number of the row in the source, from 1; the header is not counted, several files are counted through."""


def scan(source: Source, spec: DataSpec, scratch: Path) -> "pl.LazyFrame":
    """The contract's columns, each in the type that the source has (text for CSV), after :data:`ROW` (UInt32).

    What Polars cannot scan (HTTP servers without ranges, BigQuery) is copied into ``scratch`` first. Raises
    InputError for an empty or unreadable file, a wrong delimiter, and columns that are missing.
    """
    import polars as pl

    files = _readable(source, scratch)
    headers = {file: _header(source, file) for file in files}
    _check_headers(source, spec, headers)
    if source.format == "csv":
        rows = pl.scan_csv(files, infer_schema=False, row_index_name=ROW, row_index_offset=1, glob=False)
    else:
        rows = pl.scan_parquet(
            files, row_index_name=ROW, row_index_offset=1, glob=False, hive_partitioning=False, extra_columns="ignore"
        )
    return rows.select(ROW, *spec.columns)


def staged(rows: "pl.LazyFrame", source: Source, scratch: Path) -> "pl.LazyFrame":
    """The same rows from a Parquet copy in ``scratch``, unless the source is local Parquet already.

    So text is parsed, and a store is read, once only, however often the rows are looked at.
    """
    import polars as pl

    if source.format == "parquet" and source.scheme not in STORES:
        return rows
    copy = scratch / "staged.parquet"
    rows.sink_parquet(copy, compression="lz4", engine="streaming")
    return pl.scan_parquet(copy)


@contextmanager
def reading(what: str) -> "Iterator[None]":
    """Turn what Polars and the disk raise into one sentence about ``what``."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        if message := system_said(error):
            raise OstinatoError(f"preprocess of {what} stopped: {message}") from error
        raise InputError(f"{what} cannot be read: {_plain(error)}") from error
    except OSError as error:
        raise OstinatoError(f"preprocess of {what} stopped: {error}") from error


def system_said(error: Exception) -> str:
    """What the operating system said, such as a full disk, if that is what Polars reports; else nothing."""
    match = re.search(r"([^:\n]+) \(os error \d+\)", str(error))
    return match[1].strip() if match else ""


def _plain(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    if "found more fields" in text:
        return "a line has more fields than the header; put quotes around values that hold a comma"
    if "utf-8" in text:
        return "it is not UTF-8 text; save it as UTF-8"
    return text.removeprefix("parquet: ")


def _readable(source: Source, scratch: Path) -> list[str]:
    """Paths and URIs that Polars itself can scan."""
    if source.scheme not in ("http", "https", "bigquery"):
        return list(source.files)
    target = scratch / f"source.{source.format}"
    if source.scheme == "bigquery":
        fetch_table(source.files[0], target)
    else:
        fetch(source.uri, scratch, target)
    return [str(target)]


def _header(source: Source, file: str) -> dict[str, "pl.DataType"]:
    import polars as pl

    name = source.uri if len(source.files) == 1 else file
    try:
        if source.format == "parquet":
            return dict(pl.scan_parquet(file, glob=False, hive_partitioning=False).collect_schema())
        return dict(pl.scan_csv(file, infer_schema=False, n_rows=0, glob=False).collect_schema())
    except pl.exceptions.NoDataError as error:
        raise InputError(f"{name} is empty: it has no header and no rows") from error
    except pl.exceptions.PolarsError as error:
        hint = "; it is no Parquet file" if source.format == "parquet" else ""
        raise InputError(f"{name} cannot be read: {_plain(error)}{hint}") from error


def _check_headers(source: Source, spec: DataSpec, headers: dict[str, dict[str, "pl.DataType"]]) -> None:
    first = next(iter(headers.values()))
    for file, header in headers.items():
        name = source.uri if len(headers) == 1 else file
        if ROW in spec.columns:
            raise InputError(f"data.columns names {ROW!r}, which is taken; rename that column")
        _check_delimiter(name, list(header))
        for column in spec.columns:
            if column not in header:
                raise InputError(
                    f"{name} has no column {column!r}, which data.columns names. {did_you_mean(column, header)}"
                )
            if f"{column}_duplicated_0" in header:
                raise InputError(f"{name} has the column {column!r} twice; rename or remove one")
            if header[column].is_nested():
                raise InputError(f"{name}: column {column!r} holds {header[column]}; only plain values can be read")
        if source.format == "csv" and list(header) != list(first):
            raise InputError(f"{name} has other columns, or another order, than {next(iter(headers))}; make them equal")


def _check_delimiter(name: str, header: list[str]) -> None:
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and mark in header[0]:
            raise InputError(f"{name} is separated by {called}, not by commas; save it with commas")
