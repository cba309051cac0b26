"""The request log: rows that were sent over the protocol are the rows that are watched."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from harness.command_line import ROOT
from harness.loopback import LoopbackServer, Reply
from harness.nine_years import WATCH, baseline, bikes, contract, featured

from components.drift.decide import report_window
from components.drift.inputs import Live
from components.drift.request_log import REQUEST, is_request_log, log_rows, rows_of
from components.drift.windows import Window
from delivery.serving.clients.predict import ServedModel
from training.errors import InputError

RECORDED = ROOT / "tests" / "recorded" / "kubernetes"
WINDOW = Window(datetime(2018, 7, 2), datetime(2018, 7, 9))
INPUTS = ("tmin", "tmax", "pn", "hour", "weekday", "day_of_year", "holiday", "count_24h", "count_168h")
INPUTS = (*INPUTS, "count_48h", "count_336h", "count_week_mean")
DATATYPES = {pl.Float64: "FP64", pl.Int64: "INT64"}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return featured(bikes())


@pytest.fixture(scope="module")
def reference(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("ts") < datetime(2018, 6, 1))


@pytest.fixture(scope="module")
def client(rows: pl.DataFrame) -> Iterator[ServedModel]:
    """Our own client, which asks a server what the model takes."""
    inputs = [{"name": name, "datatype": DATATYPES[type(rows.schema[name])], "shape": [-1, 1]} for name in INPUTS]
    described = Reply(200, {"name": "m", "versions": [], "platform": "", "inputs": inputs, "outputs": []})
    with LoopbackServer(lambda request: described) as server:
        yield ServedModel(server.url, "m")


def week(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter((pl.col("ts") >= WINDOW.start) & (pl.col("ts") < WINDOW.end))


def events(client: ServedModel, rows: pl.DataFrame, size: int = 24) -> list[dict[str, Any]]:
    """A request a day, and its answer, as the logger sends them."""
    found = []
    for at, day in enumerate(rows.iter_slices(size)):
        when = (WINDOW.start + timedelta(days=at, hours=1)).isoformat() + "Z"
        event = {"specversion": "1.0", "id": str(at), "source": "http://localhost/", "time": when}
        found.append({**event, "type": REQUEST, "data": client.request(day.select(INPUTS).to_pandas())})
        found.append({**event, "type": REQUEST.replace("request", "response"), "data": {"outputs": []}})
    return found


def read(path: Path, lines: list[Any], reference: pl.DataFrame) -> Live:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return log_rows(str(path), path.parent, contract(), reference, [WINDOW])


def test_what_was_sent_over_the_protocol_is_read_back(client, rows, reference, tmp_path):
    sent = week(rows)
    found = read(tmp_path / "log.jsonl", events(client, sent), reference)
    assert found.bad_share(WINDOW) == 0
    assert found.of(WINDOW).select(INPUTS).cast(pl.Float64).equals(sent.select(INPUTS).cast(pl.Float64))


def test_data_as_base64_and_as_text_is_read_too(client, rows, reference, tmp_path):
    one, _, other, _ = events(client, week(rows).head(48))
    one["data_base64"] = base64.b64encode(json.dumps(one.pop("data")).encode()).decode()
    other["data"] = json.dumps(other["data"])
    assert len(read(tmp_path / "log.jsonl", [one, other], reference).of(WINDOW)) == 48


def test_a_week_like_others_is_no_drift_and_a_hot_one_is(client, rows, reference, tmp_path):
    trained = baseline(rows, datetime(2018, 6, 1))
    usual = read(tmp_path / "log.jsonl", events(client, week(rows)), reference)
    hot = week(rows).with_columns(pl.col("tmin") + 12, pl.col("tmax") + 12)
    changed = read(tmp_path / "log.jsonl", events(client, hot), reference)
    assert report_window(trained, usual, WINDOW, WATCH, {}).seen.finding == "no drift"
    assert report_window(trained, changed, WINDOW, WATCH, {}).seen.finding == "drift"


def test_requests_that_break_the_contract_or_are_none_are_bad_rows(client, rows, reference, tmp_path):
    first, _, second, *_ = events(client, week(rows), size=1)
    hot = json.loads(json.dumps(first))
    next(one for one in hot["data"]["inputs"] if one["name"] == "tmax")["data"] = [86.0]
    short = json.loads(json.dumps(second))
    short["data"]["inputs"].pop()
    found = read(tmp_path / "log.jsonl", [first, hot, short, "{half a li"], reference)
    assert found.bad_share(WINDOW) == 0.75
    assert report_window(baseline(rows, datetime(2018, 6, 1)), found, WINDOW, WATCH, {}).seen.finding == "bad data"


def recorded_events() -> list[dict[str, Any]]:
    """What a real KServe's logger sent, in the JSON form that a sink writes: the headers are the event's fields."""
    lines = (RECORDED / "kserve-logger-events.jsonl").read_text(encoding="utf-8").splitlines()
    events = []
    for line in lines:
        sent = json.loads(line)
        fields = {name[3:].lower(): value for name, value in sent["headers"].items() if name.startswith("Ce-")}
        events.append({**fields, "time": WINDOW.start.isoformat() + "Z", "data": sent["body"]})
    return events


def test_questions_about_health_in_a_real_log_are_no_bad_rows(tmp_path):
    reference = pl.DataFrame({"x": [1.0, 2.0]})
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in recorded_events()))
    data = contract().model_copy(update={"columns": {}})
    live = log_rows(str(path), tmp_path, data, reference, [WINDOW])
    assert live.of(WINDOW)["x"].to_list() == [1.5, 2.5]
    assert (live.bad_share(WINDOW), live.empty_events(WINDOW)) == (0, 2)


def test_the_same_rows_over_v1_are_read_too(client, rows, reference, tmp_path):
    (event, _), sent = events(client, week(rows).head(24)), week(rows).head(24).select(INPUTS)
    event["data"] = {"instances": sent.to_dicts()}
    live = read(tmp_path / "log.jsonl", [event], reference)
    assert live.bad_share(WINDOW) == 0
    assert live.of(WINDOW).select(INPUTS).cast(pl.Float64).equals(sent.cast(pl.Float64))


def test_requests_outside_the_windows_are_left_out(client, rows, reference, tmp_path):
    inside, _, outside, *_ = events(client, week(rows), size=1)
    last = {**outside, "time": "2018-07-09T01:59:59+02:00"}
    late = {**outside, "time": "2018-07-09T02:00:00+02:00"}
    assert len(read(tmp_path / "log.jsonl", [inside, last, late], reference).of(WINDOW)) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"instances": []},
        {"instances": [[1.0, 2.0]]},
        {"inputs": ["x"]},
        {"inputs": [{"name": "a", "data": 1}]},
        {"inputs": [{"name": "a", "data": [1]}, {"name": "b", "data": [1, 2]}]},
    ],
)
def test_what_is_no_request_has_no_rows(body: dict[str, Any]):
    assert rows_of(body) is None


def test_a_log_that_is_not_there_is_wrong_input(reference, tmp_path):
    assert is_request_log("gs://bucket/log/*.jsonl") and not is_request_log("rows.parquet")
    with pytest.raises(InputError, match="does not exist"):
        log_rows(str(tmp_path / "none.jsonl"), tmp_path, contract(), reference, [WINDOW])
