"""Bad input: one clear message, exit code 2, nothing left behind."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from preprocess.shop import BY_KEY, COLUMNS, Model, hours

from training.errors import InputError

Prepare = Callable[[Model], dict[str, Any]]


def csv(text: str) -> Prepare:
    def prepare(model: Model) -> dict[str, Any]:
        (model.folder / "rows.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return {"source": "rows.csv"}

    return prepare


def rows(change: Callable[[pl.DataFrame], pl.DataFrame], **spec: Any) -> Prepare:
    def prepare(model: Model) -> dict[str, Any]:
        model.save(change(hours(200)))
        return spec

    return prepare


def spoiled(column: str, value: Any, every: int = 10) -> Prepare:
    here = pl.int_range(pl.len()) % every == 1
    changed = pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    return rows(lambda frame: frame.with_columns(changed))


def mixed_directory(model: Model) -> dict[str, Any]:
    (model.folder / "many").mkdir()
    model.save(hours(100), "many/a.parquet")
    model.save(hours(100, 100), "many/b.csv")
    return {"source": "many"}


def two_headers(model: Model) -> dict[str, Any]:
    (model.folder / "many").mkdir()
    model.save(hours(100), "many/a.csv")
    model.save(hours(100, 100).select(reversed(list(COLUMNS))), "many/b.csv")
    return {"source": "many"}


def empty_directory(model: Model) -> dict[str, Any]:
    (model.folder / "many").mkdir()
    return {"source": "many"}


def no_parquet(model: Model) -> dict[str, Any]:
    (model.folder / "rows.parquet").write_bytes(b"at,id\n" * 100)
    return {}


def latin_1(model: Model) -> dict[str, Any]:
    text = hours(200).write_csv().replace("south", "s\u00fcd")
    (model.folder / "rows.csv").write_bytes(text.encode("latin-1"))
    return {"source": "rows.csv"}


def with_gap(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[:50], frame[60:]])


HEADER = "at,id,temp,place,open,count\n"
LINE = "2020-01-01T00:00:00,{},1.5,north,true,3\n"

CASES: dict[str, tuple[Prepare, str]] = {
    "missing file": (lambda model: {}, "rows.parquet does not exist"),
    "unknown suffix": (lambda model: (model.folder / "rows.xls").touch() or {"source": "rows.xls"}, "'.xls'"),
    "unknown scheme": (lambda model: {"source": "ftp://host/rows.csv"}, "unknown scheme"),
    "empty file": (csv(""), "rows.csv is empty"),
    "header only": (csv(HEADER), "holds no rows, only a header"),
    "semicolons": (csv(HEADER.replace(",", ";") + LINE.replace(",", ";")), "separated by semicolons"),
    "tabs": (csv(HEADER.replace(",", "\t")), "separated by tabs"),
    "too many fields": (csv(HEADER + LINE.format(1) + LINE.format(2).strip() + ",9\n"), "more fields than the header"),
    "column twice": (csv("count," + HEADER + "1," + LINE.format(1)), "'count' twice"),
    "not UTF-8": (latin_1, "is not UTF-8"),
    "missing column": (rows(lambda frame: frame.drop("count")), "has no column 'count'"),
    "renamed column": (rows(lambda frame: frame.rename({"place": "places"})), "Did you mean 'places'?"),
    "nested column": (rows(lambda frame: frame.with_columns(pl.concat_list("temp").alias("temp"))), "List(Float64)"),
    "no Parquet in .parquet": (no_parquet, "no Parquet file"),
    "target with nulls": (spoiled("count", None), "20 x count: missing"),
    "text in a number": (
        rows(lambda frame: frame.with_columns(pl.format("about {}", "temp").alias("temp"))),
        "row 1: temp is 'about 0.0': not a float",
    ),
    "below the range": (spoiled("count", -1), "row 2: count is -1: below 0"),
    "not finite": (spoiled("temp", float("inf")), "temp is inf: not finite"),
    "future time": (spoiled("at", datetime(2999, 1, 1)), "in the future"),
    "duplicate key": (spoiled("id", 0), "id is 0: seen before"),
    "value not allowed": (spoiled("place", "west"), "place is 'west': not an allowed value"),
    "all rows refused": (rows(lambda frame: frame.with_columns(count=-1), max_refused=1.0), "200 of 200 rows"),
    "time gap": (rows(with_gap, max_gap="2h"), "2020-01-03 01:00:00 to 2020-01-03 12:00:00"),
    "glob without a match": (lambda model: {"source": "*.csv"}, "no file matches"),
    "directory without data": (empty_directory, "holds no .csv or .parquet"),
    "directory of two formats": (mixed_directory, "holds .csv and .parquet"),
    "headers that differ": (two_headers, "another order"),
    "test period too long": (rows(lambda frame: frame, split={"by": "time", "test": "52w"}), "train side has no rows"),
    "allowed value of another type": (
        rows(lambda frame: frame, columns={**COLUMNS, "count": {"type": "int", "allowed": ["many"]}}),
        "count.allowed holds 'many', which is not an int",
    ),
    "float key": (rows(lambda frame: frame, key="temp", split=BY_KEY), "'temp' is a float column"),
    "as_of without a date": (rows(lambda frame: frame), "write an ISO date"),
    "as_of before all rows": (rows(lambda frame: frame), "holds no rows before as_of 2001-01-01"),
    "as_of without a time column": (rows(lambda frame: frame, time=None, split=BY_KEY), "data.time is not set"),
}
AS_OF = {
    "as_of without a date": "yesterday",
    "as_of before all rows": "2001-01-01",
    "as_of without a time column": "2020-01-02",
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_with_its_reason_and_leaves_nothing(case: str, model: Model) -> None:
    prepare, message = CASES[case]
    changes = prepare(model)
    with pytest.raises(InputError) as caught:
        model.run(as_of=AS_OF.get(case, ""), **changes)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert model.left_behind() == []


def test_a_failed_run_keeps_what_an_earlier_one_wrote(model: Model) -> None:
    model.save(hours(200))
    before = model.run()
    model.save(hours(200).drop("count"))
    with pytest.raises(InputError):
        model.run()
    assert pl.read_parquet(model.out / "train.parquet").height == before.train.rows
    assert model.left_behind() == ["data"]


def test_no_more_than_five_examples_are_shown(model: Model) -> None:
    model.save(hours(200).with_columns(count=-1))
    with pytest.raises(InputError) as caught:
        model.run()
    assert str(caught.value).count("  row ") == 5


def test_data_that_changed_since_the_snapshot_is_refused(model: Model) -> None:
    from delivery.stores.sources import snapshot

    path = model.save(hours(200))
    taken = snapshot("rows.parquet", model.folder)
    assert model.run(snapshot=taken).snapshot == taken
    model.save(hours(201))
    with pytest.raises(InputError, match="changed since the run began"):
        model.run(snapshot=taken)
    assert path.exists()


FULL = """
import resource, sys
from pathlib import Path
from components.preprocess.steps import preprocess
from training.errors import OstinatoError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    preprocess("shop", sys.argv[1], "", "", "", Path(sys.argv[2]))
except OstinatoError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_disk_that_takes_no_more_is_the_machine_s_fault_and_leaves_nothing(model: Model) -> None:
    model.hook('return rows.with_columns(lag=pl.col("count").shift(1))')
    model.save(hours(300_000))
    columns = {**COLUMNS, "id": {"type": "int"}}
    command = [sys.executable, "-c", FULL, model.spec(columns=columns).canonical_json(), str(model.out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("stopped: File too large\n")
    assert model.left_behind() == []
