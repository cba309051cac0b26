"""What a model folder takes: the columns of its signature, as the Open Inference Protocol names their types."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import OstinatoError

if TYPE_CHECKING:
    import pandas as pd

DATATYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "datetime": "BYTES",
}
"""MLflow's column types (mlflow.types.DataType) and the datatypes of the protocol. Moments travel as ISO 8601 text."""


@dataclass(frozen=True)
class Column:
    """One input of a model."""

    name: str
    type: str
    """MLflow's name of the type, a key of ``DATATYPES``."""
    required: bool
    """Whether a value must be given in every row."""

    @property
    def datatype(self) -> str:
        """The protocol's name of the type."""
        return DATATYPES[self.type]


def read_signature(folder: Path) -> tuple[Column, ...]:
    """The input columns of a model folder, in order. Raises OstinatoError that names what is wrong with ``MLmodel``."""
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text())
        inputs = json.loads(described["signature"]["inputs"])
        columns = tuple(Column(column["name"], column["type"], column.get("required", True)) for column in inputs)
    except FileNotFoundError as error:
        raise OstinatoError(f"{folder} is no complete model folder: {error.filename} is missing") from error
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise OstinatoError(f"{folder}/MLmodel has no signature with named columns: {error!r}") from error
    for column in columns:
        if column.type not in DATATYPES:
            raise OstinatoError(
                f"{folder}: column {column.name!r} is of type {column.type!r}, which can't be served; "
                f"known: {', '.join(DATATYPES)}"
            )
    return columns


def example_rows(folder: Path) -> "pd.DataFrame | None":
    """The input example (at most 3 rows) that training saved beside the model; None where there is none."""
    import pandas as pd

    path = folder / "input_example.json"
    if not path.is_file():
        return None
    example: dict[str, Any] = json.loads(path.read_text())
    return pd.DataFrame(example["data"], columns=example["columns"])
