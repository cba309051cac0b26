from datetime import datetime
from typing import Literal

from delivery.documents.document import Document
from training.spec import Frozen

DATA_CARD_FILE = "data.json"
TRAIN_FILE = "train.parquet"
TEST_FILE = "test.parquet"
REFUSED_FILE = "refused.parquet"


class CardPart(Frozen):
    """One side of the split."""

    rows: int
    sha256: str
    """Of the Parquet file's bytes."""
    time_from: datetime | None = None
    time_to: datetime | None = None
    """First and last value of the time column, both included."""


class ColumnCard(Frozen):
    name: str
    dtype: str
    """Polars name of the type, such as `Float64`."""
    role: Literal["target", "time", "key", "input"]
    unit: str = ""
    nulls: int


class DataCard(Document):
    """`data.json`: what the rows are and where they came from."""

    schema_version: Literal["ostinato.data/1"] = "ostinato.data/1"
    model: str
    source: str
    """URI that was read."""
    snapshot: str
    """`sha256:` of the source's content for local files, else the store's generation or ETag."""
    as_of: str = ""
    """Rows at or after this moment were not seen; empty means all rows."""
    fingerprint: str
    """`sha256:` over the digests of both sides: the data fingerprint."""
    split: str
    """The rule in words."""
    columns: tuple[ColumnCard, ...]
    train: CardPart
    test: CardPart
    refused: int = 0
    refused_by_reason: dict[str, int] = {}
    pinned_test_set: bool = False
    warnings: tuple[str, ...] = ()
