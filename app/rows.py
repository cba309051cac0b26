"""Rows of a CSV file, with the types that the endpoint asks for."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.errors import RequestRefused

TRUTH = {"true": True, "1": True, "false": False, "0": False}


def truth(cell: str) -> bool:
    return TRUTH[cell.lower()]


READERS: dict[str, Callable[[str], Any]] = {"FP": float, "IN": int, "UI": int, "BO": truth, "BY": str}
"""By the first two letters of a datatype of the protocol, such as FP64, INT64, UINT8, BOOL, BYTES."""


def read_rows(file: Path, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """The file's rows with the columns that the model needs; an empty cell is None.

    Raises RequestRefused for a file that can't be read, and a cell that is not of its column's datatype, by line.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            rows = [
                {
                    name: cell(file, reader.line_num, name, columns[name], text)
                    for name, text in row.items()
                    if name in columns
                }
                for row in reader
            ]
    except OSError as error:
        raise RequestRefused(f"{str(file)!r} can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestRefused(f"{str(file)!r} is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise RequestRefused(f"{str(file)!r} has no rows under a header line")
    return rows


def cell(file: Path, line: int, name: str, datatype: str, text: str | None) -> Any:
    if not text:
        return None
    try:
        return READERS[datatype[:2]](text)
    except (ValueError, KeyError) as error:
        raise RequestRefused(f"{file} line {line}, column {name!r}: {text!r} is no {datatype}") from error
