"""`ostinato new`: what a data scientist's own file becomes, and what is said when it can't become anything."""

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from harness.command_line import OSTINATO, Finished, environment

from pipelines.scaffold.table import create_model
from training.errors import InputError
from training.folder import model_spec

Run = Callable[..., Finished]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "training").mkdir()
    return tmp_path


def rows(path: Path, **columns: list) -> Path:
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def test_a_file_with_times_is_split_by_time_over_a_fifth_of_its_period(root: Path) -> None:
    from datetime import datetime, timedelta

    hours = [datetime(2026, 1, 1) + timedelta(hours=i) for i in range(24 * 50)]
    data = rows(root / "load.parquet", at=hours, load=[float(i % 24) for i in range(len(hours))])
    create_model(root, "load", "regression", data, "load", "at", None)
    spec = model_spec(root, "load")
    assert (spec.data.time, spec.data.split.by, spec.data.split.test) == ("at", "time", "10d")
    assert spec.data.columns["at"].type == "datetime"


def test_types_gaps_and_values_of_the_file_are_in_the_contract(root: Path) -> None:
    data = rows(
        root / "mixed.csv",
        **{"a b": [1, None, 3], "kind: x": ["p", "q", "p"], "day": ["2026-01-01", "2026-01-02", "2026-01-03"]},
        ok=[True, False, True],
        y=[0.5, 1.5, 2.5],
    )
    folder = create_model(root, "mixed", "regression", data, "y", None, None)
    columns = model_spec(root, "mixed").data.columns
    assert {name: (one.type, one.nullable) for name, one in columns.items()} == {
        "a b": ("int", True),
        "kind: x": ("string", False),
        "day": ("date", False),
        "ok": ("bool", False),
        "y": ("float", False),
    }
    assert '# seen: "p", "q"' in (folder / "spec.yaml").read_text()


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_without_a_file_a_small_real_data_set_is_written(root: Path, task: str) -> None:
    folder = create_model(root, "sample", task, None, None, None, None)
    spec = model_spec(root, "sample")
    frame = pl.read_csv(folder / spec.data.source)
    assert frame.height in (442, 569) and spec.data.target in frame.columns and spec.task == task


CSV = "x,when,y\n1,2026-01-01,2\n3,2026-01-02,\n"


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("a.csv", CSV.replace(",", ";"), {"target": "y"}, "semicolons between its columns"),
        ("a.csv", CSV.replace(",", "\t"), {"target": "y"}, "tabs between its columns"),
        ("a.csv", "", {"target": "y"}, "is empty"),
        ("a.csv", "x,y\n", {"target": "y"}, "no rows"),
        ("a.xlsx", "x", {"target": "y"}, "only .csv and .parquet"),
        ("a.parquet", "no parquet", {"target": "y"}, "not readable as parquet"),
        ("a.csv", CSV, {}, "--data needs --target"),
        ("a.csv", CSV, {"target": "z"}, "--target 'z' is not a column"),
        ("a.csv", CSV, {"target": "x", "time": "wen"}, "Did you mean 'when'"),
        ("a.csv", CSV, {"target": "y"}, "1 empty value"),
        ("a.csv", CSV, {"target": "x", "time": "x"}, "not dates or times"),
    ],
)
def test_a_file_that_will_not_do_is_refused_and_leaves_nothing(
    root: Path, name: str, text: str, options: dict[str, str], said: str
) -> None:
    (root / name).write_text(text)
    target, time = options.get("target"), options.get("time")
    with pytest.raises(InputError, match=said):
        create_model(root, "fresh", "regression", root / name, target, time, None)
    assert list((root / "training").iterdir()) == []


def test_the_sample_classifier_runs_to_a_champion(workspace: Path, ostinato: Run) -> None:
    ostinato("new", "tumours", "--task", "classification", expect=0)
    spec = workspace / "training" / "tumours" / "spec.yaml"
    spec.write_text(spec.read_text().replace("max_p99_ms: 500", "max_p99_ms: 5000"))
    told = ostinato("run", "tumours", expect=0).out
    assert "roc_auc" in told and "most frequent class" in told
    assert "version   1" in told


def test_on_a_terminal_the_steps_are_a_live_table(workspace: Path) -> None:
    leader, follower = pty.openpty()
    command = [str(OSTINATO), "run", "demand-forecaster", "--until", "preprocess"]
    with subprocess.Popen(
        command, cwd=workspace, env=environment(workspace, TERM="xterm"), stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        seen = b""
        while chunk := _read(leader):
            seen += chunk
        assert process.wait(timeout=60) == 0
    os.close(leader)
    text = seen.decode()
    assert "✓" in text and "preprocess" in text and "\x1b[" in text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 4096)
    except OSError:  # Linux says EIO when the last writer has gone
        return b""
