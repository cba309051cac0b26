"""A model called shop: clean hourly rows, their contract, and preprocess run on them."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.preprocess.steps import preprocess
from delivery.documents.data_card import REFUSED_FILE, TEST_FILE, TRAIN_FILE, DataCard
from training.spec import DataSpec

COLUMNS: dict[str, dict[str, Any]] = {
    "at": {"type": "datetime"},
    "id": {"type": "int", "unique": True},
    "temp": {"type": "float", "unit": "degC", "min": -50, "max": 60, "nullable": True},
    "place": {"type": "string", "allowed": ["north", "south"]},
    "open": {"type": "bool"},
    "count": {"type": "int", "min": 0},
}
BY_TIME = {"by": "time", "test": "2d"}
BY_KEY = {"by": "key", "test": 0.25}


def hours(count: int, first: int = 0) -> pl.DataFrame:
    """Clean hourly rows from 2020 on that fit :data:`COLUMNS`."""
    number = pl.int_range(first, first + count, eager=True)
    return pl.DataFrame({"id": number}).select(
        at=pl.datetime(2020, 1, 1, time_unit="us") + pl.duration(hours=pl.col("id")),
        id="id",
        temp=(pl.col("id") % 24).cast(pl.Float64) / 2,
        place=pl.when(pl.col("id") % 3 == 0).then(pl.lit("north")).otherwise(pl.lit("south")),
        open=pl.col("id") % 2 == 0,
        count=pl.col("id") * 7 % 100,
    )


@dataclass(frozen=True)
class Model:
    """A workspace with the model `shop`, whose data section can be changed at every run."""

    folder: Path
    out: Path

    def spec(self, **changes: Any) -> DataSpec:
        section = {"source": "rows.parquet", "columns": COLUMNS, "target": "count", "time": "at", "key": "id"}
        return DataSpec.model_validate({**section, "split": BY_TIME, **changes})

    def run(self, *, uri: str = "", snapshot: str = "", as_of: str = "", **changes: Any) -> DataCard:
        return preprocess("shop", self.spec(**changes).canonical_json(), uri, snapshot, as_of, self.out)

    def save(self, rows: pl.DataFrame, name: str = "rows.parquet") -> Path:
        path = self.folder / name
        rows.write_parquet(path) if path.suffix == ".parquet" else rows.write_csv(path)
        return path

    def hook(self, body: str) -> None:
        text = f"import polars as pl\n\n\ndef features(rows: pl.LazyFrame) -> pl.LazyFrame:\n    {body}\n"
        (self.folder / "model.py").write_text(text, encoding="utf-8")

    @property
    def train(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / TRAIN_FILE)

    @property
    def test(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / TEST_FILE)

    @property
    def refused(self) -> pl.DataFrame:
        return pl.read_parquet(self.out / REFUSED_FILE)

    def between(self) -> timedelta:
        """From the last trained time to the first tested one."""
        last, first = self.train["at"].to_list()[-1], self.test["at"].to_list()[0]
        return first - last

    def left_behind(self) -> list[str]:
        """What a failed run left where the output would be."""
        return [path.name for path in self.out.parent.iterdir()] if self.out.parent.exists() else []
