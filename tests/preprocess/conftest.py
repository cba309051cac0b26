"""A workspace with the model `shop`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from preprocess.shop import Model
from preprocess.talks import Talks, rows


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    folder = tmp_path / "workspace" / "training" / "shop"
    folder.mkdir(parents=True)
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path / "workspace"))
    made = Model(folder, tmp_path / "steps" / "data")
    section = yaml.safe_dump(made.spec().model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    (folder / "spec.yaml").write_text(
        "name: shop  # as the folder\ntask: regression\ndescription: visitors\n"
        "quality:\n  metric: mae\n  checks: [{kind: absolute, metric: mae, max: 9}]\n\n"
        "# where the rows are\ndata:\n" + "".join(f"  {line}\n" for line in section.splitlines()) + "\n# the end\n",
        encoding="utf-8",
    )
    return made


@pytest.fixture
def spoil() -> Callable[..., pl.DataFrame]:
    """Rows with one column's value replaced in one row: ``spoil(rows, 17, count=-1)``."""

    def replaced(rows: pl.DataFrame, row: int, **values: Any) -> pl.DataFrame:
        here = pl.int_range(pl.len()) == row
        return rows.with_columns(
            pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
        )

    return replaced


@pytest.fixture
def talks(tmp_path: Path) -> Talks:
    """A model with forty conversations and ten fixed questions, none like another."""
    folder = tmp_path / "workspace" / "training" / "talks"
    folder.mkdir(parents=True)
    made = Talks(folder, tmp_path / "steps" / "data")
    made.save(rows(40))
    made.save(rows(10, first=100), "questions.jsonl")
    return made
