"""`ostinato predict`: rows of a file in, predictions of a served model out."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from delivery.serving.clients.predict import ServedModel
from training.errors import InputError
from training.spec import ModelSpec


def predict_rows(url: str, spec: ModelSpec, file: Path) -> pd.DataFrame:
    """The file's rows with a column ``prediction``. Raises InputError for a file that can't be read or lacks a column
    and for a language model; OstinatoError if the server does not answer or refuses."""
    if spec.is_language_model:
        raise InputError(
            f"{spec.name} is a language model and takes questions, not rows; ask: ostinato chat {spec.name}"
        )
    rows = read_rows(file)
    return rows.assign(prediction=ServedModel(url, spec.name).infer(rows))


def read_rows(file: Path) -> pd.DataFrame:
    """Rows of a CSV file with a header, a JSON list of objects, or a Parquet file."""
    # What is text in JSON stays text, and numbers keep their last digit.
    as_written: dict[str, Any] = {"dtype": False, "convert_dates": False, "precise_float": True}
    readers = {".csv": pd.read_csv, ".json": partial(pd.read_json, **as_written), ".parquet": pd.read_parquet}
    if file.suffix not in readers:
        raise InputError(f"{str(file)!r}: only .csv, .json and .parquet are read")
    try:
        rows = readers[file.suffix](file)
    except FileNotFoundError as error:
        raise InputError(f"{str(file)!r} does not exist") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{str(file)!r} is not readable as {file.suffix[1:]}: {error}") from error
    if rows.empty:
        raise InputError(f"{str(file)!r} has no rows")
    return rows


def format_rows(rows: pd.DataFrame, as_json: bool) -> str:
    """As JSON records, or as columns of text."""
    if as_json:
        return str(rows.to_json(orient="records", date_format="iso", double_precision=15))
    return rows.to_string(index=False)
