"""Sources: local, over HTTP, in stores; their snapshots; and data that is larger than the memory it gets."""

import hashlib
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from harness.loopback import FolderServer
from preprocess.shop import BY_KEY, COLUMNS, Model, hours

from delivery.stores.sources import resolve, snapshot
from training.errors import InputError, OstinatoError


def test_the_snapshot_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b\n1,2\n")
    assert snapshot("rows.csv", tmp_path) == "sha256:" + hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert snapshot(f"file://{tmp_path}/rows.csv", Path("/")) == snapshot("rows.csv", tmp_path)


def test_the_snapshot_of_a_directory_changes_with_any_file_and_not_with_the_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.csv").write_text("a\n1\n")
        (tmp_path / place / "b.csv").write_text("a\n2\n")
        (tmp_path / place / "_SUCCESS").touch()
    assert snapshot("one", tmp_path) == snapshot("two", tmp_path)
    (tmp_path / "two" / "b.csv").write_text("a\n3\n")
    assert snapshot("one", tmp_path) != snapshot("two", tmp_path)


def test_sources_are_imported_without_polars() -> None:
    code = "import sys, delivery.stores.sources, components.preprocess.component; print('polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("s3://bucket/rows.csv", "s3fs", "s3"),
        ("gs://bucket/rows.csv", "gcsfs", "gcs"),
        ("bigquery://p.d.t", "google.cloud.bigquery", "bigquery"),
    ],
)
def test_a_store_without_its_extra_names_the_extra(monkeypatch, uri: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"pip install 'ostinato\[{extra}\]'"):
        snapshot(uri, Path())


@pytest.mark.parametrize(
    ("uri", "error", "kind", "text"),
    [
        ("s3://b/rows.csv", "NoCredentialsError", InputError, "without credentials: Unable.*; set AWS_ACCESS_KEY_ID"),
        ("s3://b/rows.csv", "EndpointConnectionError", OstinatoError, "s3://b/rows.csv cannot be reached: Unable"),
        ("gs://b/rows.csv", "DefaultCredentialsError", InputError, "without credentials: Unable.*; run: gcloud auth"),
    ],
)
def test_a_store_that_has_no_credentials_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, uri: str, error: str, kind: type[Exception], text: str
) -> None:
    """The stores' libraries are not installed with the tests: their errors, and a file system that raises them."""
    base = {"s3": "BotoCoreError", "gs": "GoogleAuthError"}[uri[:2]]
    module = types.ModuleType({"s3": "botocore.exceptions", "gs": "google.auth.exceptions"}[uri[:2]])
    errors = type(base, (Exception,), {})
    raised = type(error, (errors,), {})
    setattr(module, base, errors)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if uri.startswith("s3"):
        monkeypatch.setitem(sys.modules, "botocore", types.ModuleType("botocore"))

    class Locked(fsspec.AbstractFileSystem):
        cachable = False

        def isfile(self, path: str) -> bool:
            raise raised("Unable to locate credentials")

    monkeypatch.setattr(fsspec, "filesystem", lambda scheme: Locked())
    with pytest.raises(kind, match=text):
        snapshot(uri, Path())


@pytest.fixture
def server(model: Model) -> Iterator[str]:
    """A web server over the model's folder; the tests use plain HTTP where users have HTTPS."""

    with FolderServer(model.folder) as server:
        yield server.url


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_file_behind_a_url_gives_the_rows_of_the_local_file(model: Model, server: str, name: str) -> None:
    model.save(hours(500), name)
    local = model.run(source=name)
    uri = f"{server}/{name}?signature=x"
    remote = model.run(uri=uri, snapshot=snapshot(uri, model.folder))
    assert remote.fingerprint == local.fingerprint
    assert remote.snapshot.startswith("last-modified:")
    assert remote.source == uri


def test_a_url_that_is_not_there_is_an_input_error(model: Model, server: str) -> None:
    with pytest.raises(InputError, match="HTTP 404"):
        model.run(uri=f"{server}/none.csv")


def test_a_server_that_does_not_answer_is_no_input_error(model: Model) -> None:
    with pytest.raises(OstinatoError, match="cannot be reached") as caught:
        model.run(uri="http://127.0.0.1:9/rows.csv")
    assert caught.value.exit_code == 1


def test_directories_skip_hidden_files_and_files_without_rows(tmp_path: Path) -> None:
    (tmp_path / ".old").mkdir()
    for name in ("b.csv", "a.csv", ".c.csv", "_d.csv", ".old/e.csv", "LICENCE.md"):
        (tmp_path / name).touch()
    assert [Path(file).name for file in resolve(".", tmp_path).files] == ["a.csv", "b.csv"]


PEAK = """
import json, re, sys
from pathlib import Path
from components.preprocess.steps import preprocess
card = preprocess("shop", sys.argv[1], "", "", "", Path(sys.argv[2]))
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps({"peak_mib": peak / 1024, "rows": card.train.rows + card.test.rows}))
"""
"""`ru_maxrss` would be the tests' own memory where that is more: a child starts as a copy of its parent."""
PART = 250_000
PARTS = 32
LIMIT_MIB = 1024


@pytest.fixture
def wide(model: Model) -> dict[str, Any]:
    """The contract of a source of 32 files of 250,000 rows and 26 columns each, a row a second: 1.6 GiB in memory."""
    (model.folder / "parts").mkdir()
    floats = [(pl.col("id") * (i + 2) % 9973).cast(pl.Float64).alias(f"f{i}") for i in range(20)]
    rows = hours(PART).with_columns(floats)
    for part in range(PARTS):
        seconds = pl.duration(seconds=pl.col("id") + part * PART)
        at = (pl.datetime(2000, 1, 1, time_unit="us") + seconds).alias("at")
        model.save(rows.with_columns(at), f"parts/{part:02}.parquet")
    columns = {**COLUMNS, "id": {"type": "int"}} | {f"f{i}": {"type": "float"} for i in range(20)}
    return {"source": "parts", "columns": columns}


@pytest.mark.parametrize("split", [{"by": "time", "test": "1d"}, BY_KEY], ids=["time", "key"])
def test_8_million_rows_of_26_columns_need_less_than_1_gib(model: Model, wide: dict[str, Any], split: dict) -> None:
    spec = model.spec(**wide, split=split)
    command = [sys.executable, "-c", PEAK, spec.canonical_json(), str(model.out)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert done["rows"] == PARTS * PART
    assert done["peak_mib"] < LIMIT_MIB < PARTS * PART * len(spec.columns) * 8 / 2**20
