"""`ostinato new`: a model folder that runs at once, made from the user's own file or from a small real data set."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.errors import InputError, did_you_mean
from training.folder import check_name, model_names
from training.spec import TASKS, Answers, Task, parse_spec

if TYPE_CHECKING:
    import polars as pl

ESTIMATORS: dict[Answers, str] = {
    "numbers": "HistGradientBoostingRegressor",
    "classes": "HistGradientBoostingClassifier",
}
METRIC: dict[Task, str] = {"classification": "roc_auc"}
"""Of record in a new spec; the task's first one unless it is here."""
BASELINE: dict[Answers, str] = {
    "numbers": "{kind: mean, name: mean of the training rows}",
    "classes": "{kind: majority, name: most frequent class}",
}
TRUSTED_TYPES = (
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
MAX_DESCRIBED_VALUES = 6


@dataclass(frozen=True)
class NewColumn:
    name: str
    """As YAML text: quoted where it must be."""
    type: Literal["int", "float", "string", "bool", "datetime", "date"]
    nullable: bool
    seen: str


def check_task(text: str) -> Task:
    """The task itself. Raises InputError for an unknown one."""
    if text not in TASKS:
        raise InputError(f"--task {text!r} is unknown. {did_you_mean(text, TASKS)}")
    return cast(Task, text)


def create_model(
    root: Path, name: str, task: Task, data: Path | None, target: str | None, time: str | None, key: str | None
) -> Path:
    """Make ``training/<name>/`` with spec.yaml, model.py and a copy of the data; returns the folder.

    A language model (generation) needs ``data``, a file of conversations, and gets a system prompt. Raises InputError
    for a bad name, a folder that exists, a file that can't be read, or columns that it lacks; then nothing is written.
    """
    if check_name(name) in model_names(root):
        raise InputError(
            f"the model {name!r} exists already; choose another name or edit training/{_folder(name)}/spec.yaml"
        )
    final = root / "training" / _folder(name)
    if final.exists():
        raise InputError(f"{final} exists already but has no spec.yaml; remove it or choose another name")
    with tempfile.TemporaryDirectory(dir=root / "training", prefix=".new-") as scratch:
        draft = Path(scratch) / "model"
        if TASKS[task].is_language_model:
            if target or time:
                raise InputError("--target and --time name columns of a table; conversations have messages")
            _write_talker(draft, name, data, key)
        else:
            _write_estimator(draft, name, task, data, target, time, key)
        parse_spec((draft / "spec.yaml").read_text(encoding="utf-8"), "the new spec.yaml")
        draft.rename(final)
    return final


def _write_talker(draft: Path, name: str, data: Path | None, key: str | None) -> None:
    from pipelines.scaffold.language import check_conversations, write_language_model

    values = write_language_model(draft, name, data, key)
    for template, target in (("language_spec.yaml.j2", "spec.yaml"), ("language_model.py.j2", "model.py")):
        (draft / target).write_text(_render(template, values), encoding="utf-8")
    check_conversations(draft)


def _write_estimator(
    draft: Path, name: str, task: Task, data: Path | None, target: str | None, time: str | None, key: str | None
) -> None:
    """Fill ``draft`` for a model of a table.

    Without ``data`` a small real data set that scikit-learn carries is written: diabetes (442 rows) for regression,
    breast cancer (569 rows) for classification.
    """
    if data is None:
        frame, target, source, text = _bundled(task)
        if time or key:
            raise InputError("--time and --key name columns of --data; give --data as well")
    else:
        if target is None:
            raise InputError("--data needs --target: name the column to predict")
        frame, source, text = _read(data), f"data/{data.name}", None
    for option, column in (("--target", target), ("--time", time), ("--key", key)):
        if column is not None and column not in frame.columns:
            raise InputError(f"{option} {column!r} is not a column of the data. {did_you_mean(column, frame.columns)}")
    if frame[target].null_count():
        raise InputError(
            f"the target {target!r} has {frame[target].null_count()} empty value(s); remove those rows first"
        )
    (draft / "data").mkdir(parents=True)
    if data is not None:
        shutil.copyfile(data, draft / source)
    elif text is not None:
        (draft / source).write_text(text, encoding="utf-8")
    for template, values in (
        ("spec.yaml.j2", _spec_values(name, task, frame, source, target, time, key)),
        ("model.py.j2", {"name": name, "estimator": ESTIMATORS[TASKS[task].answers]}),
    ):
        (draft / template.removesuffix(".j2")).write_text(_render(template, values), encoding="utf-8")


def _folder(name: str) -> str:
    return name.replace("-", "_")


def _render(template: str, values: dict[str, Any]) -> str:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.get_template(template).render(values)


def _spec_values(
    name: str, task: Task, frame: "pl.DataFrame", source: str, target: str, time: str | None, key: str | None
) -> dict[str, Any]:
    return {
        "name": name,
        "task": task,
        "schema": "../../docs/reference/spec.schema.json",
        "description": json.dumps(
            f"Predicts {target}. Say for whom, and what they decide with it.", ensure_ascii=False
        ),
        "source": json.dumps(source),
        "columns": [_describe(frame, column, target, key) for column in frame.columns],
        "target": json.dumps(target),
        "time": time and json.dumps(time),
        "key": key and json.dumps(key),
        "split": f"{{by: time, test: {_test_period(frame, time)}}}" if time else "{by: key, test: 0.2}",
        "metric": METRIC.get(task) or next(iter(TASKS[task].metrics)),
        "baseline": BASELINE[TASKS[task].answers],
        "trusted_types": TRUSTED_TYPES,
    }


def _describe(frame: "pl.DataFrame", name: str, target: str, key: str | None) -> NewColumn:
    import polars as pl

    values = frame[name]
    if values.dtype.is_integer():
        kind, seen = "int", f"{values.min()} to {values.max()}"
    elif values.dtype.is_numeric():
        kind, seen = "float", f"{values.min()} to {values.max()}"
    elif values.dtype == pl.Boolean:
        kind, seen = "bool", ""
    elif values.dtype == pl.Date:
        kind, seen = "date", f"{values.min()} to {values.max()}"
    elif isinstance(values.dtype, pl.Datetime):
        kind, seen = "datetime", f"{values.min()} to {values.max()}"
    else:
        kind = "string"
        distinct = values.drop_nulls().cast(pl.String).unique().sort().to_list() if name != key else []
        seen = json.dumps(distinct, ensure_ascii=False)[1:-1] if 0 < len(distinct) <= MAX_DESCRIBED_VALUES else ""
    return NewColumn(json.dumps(name, ensure_ascii=False), kind, values.null_count() > 0 and name != target, seen)


def _test_period(frame: "pl.DataFrame", time: str) -> str:
    """A fifth of the whole period, as a duration in hours or days."""
    import polars as pl

    if frame[time].dtype != pl.Date and not isinstance(frame[time].dtype, pl.Datetime):
        raise InputError(
            f"--time {time!r} holds {frame[time].dtype}, not dates or times such as 2026-01-31 or 2026-01-31 13:00:00"
        )
    moments = frame[time].cast(pl.Datetime)
    first, last = moments.min(), moments.max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    seconds = (last - first).total_seconds() / 5
    return f"{max(1, round(seconds / 86400))}d" if seconds >= 5 * 86400 else f"{max(1, round(seconds / 3600))}h"


def _read(path: Path) -> "pl.DataFrame":
    """A CSV or Parquet file of the user. Raises InputError that says what it found instead."""
    import polars as pl

    if not path.is_file():
        raise InputError(f"--data {str(path)!r} does not exist")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif path.suffix == ".csv":
            frame = pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)
        else:
            raise InputError(f"--data {str(path)!r}: only .csv and .parquet are read")
    except pl.exceptions.NoDataError as error:
        raise InputError(f"--data {str(path)!r} is empty") from error
    except pl.exceptions.PolarsError as error:
        raise InputError(f"--data {str(path)!r} is not readable as {path.suffix[1:]}: {error}") from error
    for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(frame.columns) == 1 and mark in frame.columns[0]:
            raise InputError(f"--data {str(path)!r} has {called} between its columns; save it with commas")
    if frame.height == 0:
        raise InputError(f"--data {str(path)!r} has a header but no rows")
    return frame


def _bundled(task: Task) -> "tuple[pl.DataFrame, str, str, str]":
    """A real data set that scikit-learn carries: frame, target, source, and the CSV text."""
    import polars as pl
    from sklearn import datasets

    if TASKS[task].answers == "numbers":
        loaded, target, name = datasets.load_diabetes(as_frame=True, scaled=False), "progression", "diabetes"
        frame = pl.from_pandas(loaded.frame.rename(columns={"target": target}))  # pyright: ignore[reportAttributeAccessIssue]
    else:
        loaded, target, name = datasets.load_breast_cancer(as_frame=True), "diagnosis", "breast_cancer"
        table = loaded.frame.assign(target=loaded.target.map(dict(enumerate(loaded.target_names))))  # pyright: ignore[reportAttributeAccessIssue]
        frame = pl.from_pandas(
            table.rename(columns=lambda column: column.replace(" ", "_")).rename(columns={"target": target})
        )
    return frame, target, f"data/{name}.csv", frame.write_csv()
