"""The part of a spec that says where the rows come from, what they must look like, and how they are split."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from training.errors import did_you_mean
from training.spec.section import NOT_A_TEXT, Duration, Section, Share


class Column(Section):
    """What one column of the source may hold. A row that breaks it is refused, with the reason counted."""

    type: Literal["int", "float", "string", "bool", "datetime", "date"]
    """Type of the values. Text that does not parse as the type is a refused row."""
    unit: str = ""
    """Unit of the values, such as `degC` or `rentals per hour`; shown in the report and the model card."""
    min: float | None = None
    """Smallest allowed value (numbers only)."""
    max: float | None = None
    """Largest allowed value (numbers only)."""
    nullable: bool = False
    """Whether the value may be missing. The target may never be."""
    unique: bool = False
    """Whether a value may occur once only; later rows with the same value are refused."""
    allowed: tuple[str | int | float | bool, ...] = ()
    """The only values allowed; empty means any. Of a string column each is a text: quote what YAML takes for
    something else, such as `"NO"` or `"0127"`."""

    @model_validator(mode="after")
    def _range_fits_type(self) -> Self:
        if (self.min is not None or self.max is not None) and self.type not in ("int", "float"):
            raise ValueError(f"min and max are for int and float columns, this one is {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    @model_validator(mode="after")
    def _allowed_fit_type(self) -> Self:
        for i, value in enumerate(self.allowed):
            if self.type == "string" and not isinstance(value, str):
                where = {"at": ("allowed", i), "value": value}
                raise PydanticCustomError(NOT_A_TEXT, "allowed.{at}: {value} is no text; quote it", where)
            if isinstance(value, bool) and self.type != "bool":
                raise ValueError(f"allowed.{i} is {value}, and the column is {self.type}")
        return self


class TimeSplit(Section):
    """The last rows by time are the test set."""

    by: Literal["time"]
    test: Duration
    """Length of the test period at the end of the data."""
    embargo: Duration | None = None
    """Rows this close before the test period are left out of training, so that no label overlaps a test row."""


class KeySplit(Section):
    """A stable hash of the key decides the side, so a row never changes sides when data is added.

    Without `data.key` the whole row is hashed, so that equal rows are on the same side.
    """

    by: Literal["key"]
    test: Annotated[float, Field(gt=0, lt=1)]
    """Share of the keys on the test side."""


class TestSet(Section):
    """A fixed test set, pinned by its content."""

    path: str = "testset.parquet"
    """Where the pinned rows are: relative to the model's folder, or a URI."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the file's bytes."""
    pinned_on: date
    """The day it was pinned."""
    rotate_every: Duration = "26w"
    """How long a pin is valid; `ostinato testset rotate` makes a new one."""
    on_violation: Literal["error", "warn"] = "error"
    """What a pin that has expired or does not match its bytes does to the run."""


class DataSpec(Section):
    """Where the rows come from, what they must look like, and how they are split."""

    kind: Literal["table"] = "table"
    """Rows and columns; a language model has `conversations`, see [ConversationSpec](#conversationspec)."""
    source: str
    """A CSV or Parquet file, directory or glob: relative to the model's folder, or a local, `gs://`, `s3://`,
    `https://` or `bigquery://project.dataset.table` URI."""
    columns: dict[str, Column] = Field(min_length=1)
    """The contract, a column each. Columns of the source that are not named here are dropped."""
    target: str
    """The column to predict."""
    time: str | None = None
    """The column that orders the rows; required for a split by time. Rows in the future are refused."""
    key: str | None = None
    """The column that identifies a row, or the rows that must stay on one side (mark it `unique` for the former).
    A split by key without one hashes the whole row."""
    max_gap: Duration | None = None
    """Longest allowed gap between neighbouring times; a longer one stops the run."""
    max_refused: Share = 0.01
    """Largest share of rows that may be refused before the run stops."""
    split: Annotated[TimeSplit | KeySplit, Field(discriminator="by")]
    testset: TestSet | None = None
    """A fixed test set; without one the split's test side is used."""

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        for field in ("target", "time", "key"):
            name = getattr(self, field)
            if name is not None and name not in self.columns:
                raise ValueError(f"{field} is {name!r}, which is not in columns. {did_you_mean(name, self.columns)}")
        if self.columns[self.target].nullable:
            raise ValueError(f"the target {self.target!r} may not be nullable")
        if self.split.by == "time" and self.time is None:
            raise ValueError("a split by time needs data.time: name the column that orders the rows")
        if self.time is not None and self.columns[self.time].type not in ("datetime", "date"):
            raise ValueError(f"data.time {self.time!r} must be a datetime or date column")
        if self.max_gap is not None and self.time is None:
            raise ValueError("data.max_gap needs data.time")
        return self
