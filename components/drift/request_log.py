"""Recent live inputs from a request log: a line of JSON for each request, as KServe's inference logger sends them.

A line is a CloudEvent in its JSON form (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md)
with `time`, and as `data` the body of an Open Inference Protocol request, V2 or V1. Other events, such as the answers
(`org.kubeflow.serving.inference.response`), are passed over. KServe's logger sends every request, questions about
health too, which have no body: events without rows are counted apart.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.drift.inputs import Live
from components.drift.windows import Window
from components.preprocess.table.contract import conform, kept, refused, rules
from components.preprocess.table.scan import ROW
from components.preprocess.table.survey import parse_as_of
from delivery.stores.sources import Formats, fetch, resolve
from training.errors import InputError
from training.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

LOGS: Formats = {".jsonl": "jsonl"}
REQUEST = "org.kubeflow.serving.inference.request"
"""CloudEvent type of a request: https://kserve.github.io/website/docs/model-serving/inferenceservice/logger"""
WHEN = "_time"
MOST_ROWS = 200_000
"""Of the windows together that are held: the first ones."""


def is_request_log(uri: str) -> bool:
    return uri.partition("?")[0].endswith(".jsonl")


def log_rows(uri: str, folder: Path, spec: DataSpec, reference: "pl.DataFrame", windows: Sequence[Window]) -> Live:
    """Rows of the requests of the windows, oldest window first; reference: has the model's inputs in their types.

    A request that is none of the protocol's, or lacks an input, is a bad row; one without a body has no rows. Raises
    InputError for a log that can't be found, OstinatoError for one that can't be reached.
    """
    import polars as pl

    inputs = {name: dtype for name, dtype in reference.schema.items() if name not in (spec.target, spec.time)}
    good: list[dict[str, Any]] = []
    bad: list[datetime] = []
    empty: list[datetime] = []
    for when, rows in _requests(_lines(uri, folder), windows[0].start, windows[-1].end):
        if rows == []:
            empty.append(when)
        elif rows is None or any(set(inputs) - set(row) for row in rows):
            bad.append(when)
        elif len(good) < MOST_ROWS:
            good.extend({WHEN: when, **{name: row[name] for name in inputs}} for row in rows)
    texts = {name: pl.Series(name, [_text(row[name]) for row in good], pl.String) for name in inputs}
    frame = pl.DataFrame({WHEN: pl.Series(WHEN, [row[WHEN] for row in good], pl.Datetime("us")), **texts})
    frame = frame.with_row_index(ROW, 1)
    frame, broken = _by_contract(frame, spec)
    typed = frame.with_columns(pl.col(name).cast(dtype, strict=False) for name, dtype in _plain(inputs, frame).items())
    moments = pl.Series("when", bad, pl.Datetime("us"))
    return Live(typed.drop(ROW), WHEN, pl.concat([moments, broken]), empty=pl.Series("when", empty, pl.Datetime("us")))


def rows_of(body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a V2 request with a tensor for each column, of shape [n] or [n, 1], or of a V1 request with a mapping
    for each row; None if it is neither.

    Pandas' content type (the request's parameter `content_type: pd`) has the same tensors.
    """
    instances = body.get("instances")
    if isinstance(instances, list) and instances:
        return instances if all(isinstance(row, dict) for row in instances) else None
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        return None
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("data"), list):
            return None
        columns[str(tensor.get("name"))] = [
            cell[0] if isinstance(cell, list) and cell else cell for cell in tensor["data"]
        ]
    if len({len(values) for values in columns.values()}) != 1:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _lines(uri: str, folder: Path) -> Iterator[str]:
    source = resolve(uri, folder, LOGS)
    with TemporaryDirectory(prefix="ostinato-log-") as scratch:
        for file in source.files:
            local = Path(file)
            if source.scheme != "file":
                local = Path(scratch, "part.jsonl")
                fetch(file, folder, local)
            with local.open(encoding="utf-8", errors="replace") as lines:
                yield from lines


def _requests(
    lines: Iterable[str], start: datetime, end: datetime
) -> "Iterator[tuple[datetime, list[dict[str, Any]] | None]]":
    """Time and rows of each request in [start, end): [] without a body, None for a body that holds no rows.

    A line that can't be read has the time of the one before it.
    """
    when: datetime | None = None
    for line in lines:
        if not line.strip():
            continue
        event = _json(line)
        if event is not None and event.get("type", REQUEST) != REQUEST:
            continue
        when = (_moment(event) if event else None) or when
        if when is not None and start <= when < end:
            yield when, _rows(event) if event else None


def _rows(event: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if not event.get("data", event.get("data_base64")):
        return []
    body = _body(event)
    return rows_of(body) if body else None


def _json(text: str | bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _body(event: Mapping[str, Any]) -> dict[str, Any] | None:
    data = event.get("data", event.get("data_base64"))
    if isinstance(data, dict):
        return data
    if not isinstance(data, str):
        return None
    try:
        return _json(base64.b64decode(data, validate=True) if "data_base64" in event else data)
    except binascii.Error:
        return None


def _moment(event: Mapping[str, Any]) -> datetime | None:
    """UTC without a zone, as the columns have it."""
    try:
        return parse_as_of(str(event.get("time")))
    except InputError:
        return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _by_contract(frame: "pl.DataFrame", spec: DataSpec) -> "tuple[pl.DataFrame, pl.Series]":
    """The rows that keep the contract of the columns that are also inputs, and the times of the others."""
    columns = {name: column for name, column in spec.columns.items() if name in frame.columns}
    loose = {name: column.model_copy(update={"unique": False}) for name, column in columns.items()}
    if not loose:
        return frame, frame[WHEN].clear().alias("when")
    part = spec.model_copy(update={"columns": loose})
    rows = conform(frame.lazy(), part)
    contract = rules(part, rows.collect_schema(), {})
    good = kept(rows, part, contract).collect()
    broken = frame.join(refused(rows, part, contract).select(ROW).collect(), on=ROW)[WHEN].alias("when")
    return good.join(frame.drop(*loose), on=ROW), broken


def _plain(inputs: "dict[str, pl.DataType]", frame: "pl.DataFrame") -> "dict[str, pl.DataType]":
    """Types to cast to, where the contract has not: text of a whole number with a fraction is a float first."""
    import polars as pl

    return {
        name: pl.Float64() if dtype.is_integer() else dtype
        for name, dtype in inputs.items()
        if frame.schema[name] == pl.String and dtype != pl.Boolean
    }
