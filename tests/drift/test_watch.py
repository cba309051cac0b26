"""The watch of a live version: what is recorded, that it asks once, and what the command says."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from harness.command_line import ROOT, run_ostinato
from harness.loopback import LoopbackServer, Reply, Request

from components.drift.engine import watch_and_ask
from components.drift.event import SECRET, SIGNATURE, TIMESTAMP, signed
from components.drift.records import Records
from components.drift.steps import Watched, watch
from delivery.connections import Connections
from delivery.registry.reference import REFERENCE_FILE
from delivery.retry import RetryPolicy
from training.errors import GateRefused, InputError, OstinatoError
from training.folder import model_spec

TRAINED = "2018-06-04"
LATER = datetime(2018, 7, 2)
"""Four weeks of the version's life."""
MODEL = "demand-forecaster"
FOLDER = "training/demand_forecaster"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose version 1 is live; from the day after its data on it is hot, and twice as busy."""
    root = tmp_path_factory.mktemp("drift") / "checkout"
    shutil.copytree(ROOT / "training" / "demand_forecaster", root / "training" / "demand_forecaster")
    shutil.copytree(ROOT / "manifests", root / "manifests")
    done = run_ostinato(root, "run", MODEL, "--param", f"as_of={TRAINED}", "--param", "max_iter=40")
    assert done.code == 0, done.err
    source = root / "training/demand_forecaster/data/hourly.parquet"
    after = pl.col("ts") >= datetime.fromisoformat(TRAINED)
    changed = [pl.col("tmin") + 15, pl.col("tmax") + 15, pl.col("count") * 2]
    rows = pl.read_parquet(source)
    rows.with_columns(pl.when(after).then(one).otherwise(one.meta.output_name()) for one in changed).write_parquet(
        source
    )
    return root


@pytest.fixture
def place(released: Path, tmp_path: Path) -> Path:
    """The same with records of its own."""
    root = tmp_path / "checkout"
    shutil.copytree(released, root)
    return root


def connections(root: Path) -> Connections:
    """Artifacts are where the first copy has them."""
    home = root / ".ostinato"
    return Connections(f"sqlite:///{home / 'mlflow.db'}", str(home / "manifests.git"))


def look(root: Path, as_of: str = LATER.isoformat(), ask=None, source: str = "") -> Watched:
    return watch(model_spec(root, MODEL), connections(root), root / FOLDER, as_of, source, ask)


def test_three_drifted_weeks_ask_once_and_are_recorded_once(place: Path):
    asked: list[str] = []

    def ask(found: Watched) -> str:
        asked.append(found.window)
        return "run r-1"

    first = look(place, ask=ask)
    again = look(place, ask=ask)
    assert first.decision == "ask" and [one.finding for one in first.windows][-3:] == ["drift"] * 3
    assert first == again and again.answer == "run r-1"
    assert asked == ["2018-07-02T00:00:00"]
    records = Records(connections(place).tracking_uri, MODEL)
    runs = records.client.search_runs([records.experiment])
    assert len(runs) == len(first.windows) == 4
    newest = next(run for run in runs if run.data.tags["ostinato.drift.window"] == first.window)
    assert newest.data.metrics["drifted_share"] >= 0.3 and newest.data.metrics["rows"] == 168
    assert [file.path for file in records.client.list_artifacts(newest.info.run_id)] == ["drift.html"]


def test_a_week_later_cool_down_holds_the_next_request_back(place: Path):
    look(place, ask=lambda found: "run r-1")
    later = look(place, "2018-07-11", ask=lambda found: pytest.fail("asked in the cool-down"))
    assert later.decision == "wait" and "cool_down is 4w" in later.reason


def test_a_request_that_failed_is_made_again_for_the_same_window(place: Path):
    def down(found: Watched) -> str:
        raise OstinatoError("nobody there")

    with pytest.raises(OstinatoError, match="nobody there"):
        look(place, ask=down)
    found = look(place, "2018-07-03T12:00:00", ask=lambda found: found.window)
    assert found.answer == "2018-07-02T00:00:00"


def test_before_three_weeks_have_drifted_nothing_is_asked(place: Path):
    found = look(place, "2018-06-20")
    assert (found.decision, found.reason) == ("wait", "2 of the last 4 windows drifted, 3 are needed")


def test_mended_data_is_looked_at_again(place: Path):
    source = place / "training/demand_forecaster/data/hourly.parquet"
    whole = pl.read_parquet(source)
    whole.drop("pn").write_parquet(source)
    assert look(place).decision == "bad data"
    whole.write_parquet(source)
    assert look(place).decision == "ask"


def test_without_a_live_version_the_watch_says_what_to_do(workspace: Path, tmp_path: Path):
    from delivery.git.repository import ensure_local_repository

    remote = tmp_path / "manifests.git"
    ensure_local_repository(remote, workspace / "manifests")
    nothing_live = Connections(f"sqlite:///{tmp_path / 'mlflow.db'}", str(remote))
    with pytest.raises(InputError, match=r"first: ostinato run demand-forecaster"):
        watch(model_spec(workspace, MODEL), nothing_live, workspace / FOLDER, "")


def test_the_kept_training_rows_are_small_and_have_the_models_inputs(released: Path):
    (file,) = (released / ".ostinato/artifacts").rglob(REFERENCE_FILE)
    rows = pl.read_parquet(file)
    assert len(rows) == 50_000 and {"ts", "tmin", "count_168h", "hour"} <= set(rows.columns)
    assert file.stat().st_size < 3_000_000


def test_the_command_prints_windows_and_decision_and_killed_it_goes_on(place: Path):
    killed = run_ostinato(place, "drift", MODEL, "--as-of", "2018-06-27", OSTINATO_CRASH_AT="decision recorded")
    assert killed.code == -9
    done = run_ostinato(place, "drift", MODEL, "--as-of", "2018-06-27")
    assert done.code == 0, done.err
    assert "demand-forecaster version 1" in done.out and "ask: 3 of the last 4 windows drifted" in done.out
    records = Records(connections(place).tracking_uri, MODEL)
    assert len(records.client.search_runs([records.experiment])) == 3


def test_bad_data_ends_the_command_with_the_exit_code_of_a_refusal(place: Path):
    source = place / "training/demand_forecaster/data/hourly.parquet"
    pl.read_parquet(source).drop("pn").write_parquet(source)
    done = run_ostinato(place, "drift", MODEL, "--as-of", "2018-06-27", "--json")
    assert done.code == 3
    assert json.loads(done.out)["decision"] == "bad data"
    assert "the live data of demand-forecaster is bad" in done.err and "no column 'pn'" in done.err


class EntryPoint(LoopbackServer):
    """answers: status of the next requests."""

    prefix = "/events/drift"
    answers: Sequence[int] = ()

    def answer(self, request: Request) -> Reply:
        return Reply(self.answers[len(self.log) - 1])


@pytest.fixture
def events() -> Iterator[EntryPoint]:
    with EntryPoint() as server:
        yield server


FOUND = Watched(MODEL, "7", (), "ask", "", "")


def test_on_an_engine_a_signed_event_asks_and_is_not_sent_again(
    place: Path, events: EntryPoint, monkeypatch: pytest.MonkeyPatch
):
    events.answers = [202]
    monkeypatch.setenv(SECRET, "top secret")
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(place))
    spec = model_spec(place, MODEL).canonical_json()
    for _ in range(2):
        found = watch_and_ask(spec, connections(place), "", LATER.isoformat(), events.url)
        assert found.answer == "asked http://127.0.0.1: 202"
    (request,) = events.log
    headers, body = request.headers, request.body
    assert json.loads(body) == {"kind": "drift", "model": MODEL, "version": "1", "window": "2018-07-02T00:00:00"}
    assert headers[SIGNATURE] == signed(b"top secret", body, int(headers[TIMESTAMP]))[SIGNATURE]
    assert headers[SIGNATURE].startswith("v1,")


def test_an_engines_watch_is_red_for_bad_data(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SECRET, "top secret")
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(place))
    source = place / "training/demand_forecaster/data/hourly.parquet"
    pl.read_parquet(source).drop("pn").write_parquet(source)
    spec = model_spec(place, MODEL).canonical_json()
    with pytest.raises(GateRefused, match="nothing is trained on it"):
        watch_and_ask(spec, connections(place), "", LATER.isoformat(), "http://127.0.0.1:9")


def test_a_busy_entry_point_is_asked_again_with_the_same_body(events, monkeypatch: pytest.MonkeyPatch):
    from components.drift.event import post_event

    events.answers = [503, 429, 200]
    monkeypatch.setenv(SECRET, "top secret")
    assert post_event(events.url, FOUND, RetryPolicy(attempts=4, pause_s=0)) == "asked http://127.0.0.1: 200"
    assert len({request.body for request in events.log}) == 1 and len(events.log) == 3


def test_a_refused_signature_is_not_tried_again_and_no_secret_is_told(events, monkeypatch: pytest.MonkeyPatch):
    from components.drift.event import post_event

    events.answers = [401]
    monkeypatch.setenv(SECRET, "top secret")
    with pytest.raises(InputError, match="refused the request") as refused:
        post_event(events.url, FOUND, RetryPolicy(attempts=4, pause_s=0))
    assert "top secret" not in str(refused.value)
    events.answers = [401, *[500] * 4]
    with pytest.raises(OstinatoError, match="HTTP 500; run the watch again"):
        post_event(events.url, FOUND, RetryPolicy(attempts=4, pause_s=0))


def test_an_entry_point_needs_one_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from components.drift.event import events_secret

    monkeypatch.delenv(SECRET, raising=False)
    with pytest.raises(InputError, match="neither"):
        events_secret()
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv(f"{SECRET}_FILE", str(tmp_path / "secret"))
    assert events_secret() == b"from a file"
    monkeypatch.setenv(SECRET, "x")
    with pytest.raises(InputError, match="both"):
        events_secret()


def test_the_package_for_an_engine_has_one_step_that_is_never_cached_and_no_secret():
    from pipelines.drift_watch import compile_drift_watch

    spec = model_spec(ROOT, MODEL)
    text = compile_drift_watch(spec, "image@sha256:0")
    assert text == compile_drift_watch(spec, "image@sha256:0")
    assert text.count("image: image@sha256:0") == 1 and "enableCache" not in text
    with pytest.raises(InputError, match="has no drift_watch"):
        compile_drift_watch(spec.model_copy(update={"drift_watch": None}), "image")
