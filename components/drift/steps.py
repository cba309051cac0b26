"""The drift watch: look at the newest windows, record what each says, decide, and ask for a training once.

Order of effects: windows recorded, decision recorded on the newest, training asked for, answer recorded. Killed
anywhere and run again, the watch finds what it recorded, and goes on from there.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.drift.decide import Seen, WindowReport, decide, report_window
from components.drift.inputs import Live, table_rows
from components.drift.records import Kept, Records, settled
from components.drift.report import write_report
from components.drift.request_log import is_request_log, log_rows
from components.drift.scores import Baseline, method_of
from components.drift.windows import Window, newest_windows
from components.preprocess.table.survey import parse_as_of
from delivery.connections import Connections
from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client, registry_errors
from delivery.registry.reference import REFERENCE_FILE
from delivery.registry.versions import ModelVersion
from delivery.releases.live import live
from training.errors import InputError, did_you_mean
from training.spec import DataSpec, DriftWatchSpec, ModelSpec
from training.spec.section import parse_duration

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Watched:
    """What the watch found."""

    model: str
    version: str
    """That is live."""
    windows: tuple[Seen, ...]
    """Oldest first."""
    decision: str
    reason: str
    answer: str
    """What came of a request for a training; "" while there is none."""

    @property
    def window(self) -> str:
        """End of the newest window, ISO."""
        return self.windows[-1].end.isoformat() if self.windows else ""


Ask = Callable[[Watched], str]
"""Asks for a training and says what came of it."""


def watch(
    spec: ModelSpec, connections: Connections, folder: Path, as_of: str, source: str = "", ask: Ask | None = None
) -> Watched:
    """Look at the windows that ended by ``as_of`` (ISO, "" for now) and decide.

    folder: the model's. source: instead of the spec's. ask: called when a training is wanted and nobody has answered
    yet; it may be called twice for one window if the first call was killed. Raises InputError where nothing is live,
    the live version keeps no training rows, or the spec does not fit it; OstinatoError if registry, git or source
    can't be read.
    """
    watching = spec.drift_watch or DriftWatchSpec()
    if not isinstance(spec.data, DataSpec):
        raise InputError(f"{spec.name} is trained on conversations; drift is watched of tables")
    version = _live_version(spec, connections)
    now = parse_as_of(as_of) if as_of else datetime.now(UTC).replace(tzinfo=None)
    with tempfile.TemporaryDirectory(prefix="ostinato-drift-") as name:
        reference, card = _training_data(connections.tracking_uri, version, Path(name))
        windows = newest_windows(
            now, parse_duration(watching.window), watching.windows, card.test.time_to or card.train.time_to
        )
        records = Records(connections.tracking_uri, spec.name)
        recorded = {kept.seen.end for kept in records.windows(version.version) if settled(kept.seen.finding)}
        missing = [window for window in windows if window.end not in recorded]
        if missing:
            uri = source or watching.source or spec.data.source
            _record_windows(missing, records, version.version, spec.data, watching, reference, uri, folder)
    return _decided(spec.name, version.version, records, windows, watching, ask)


def _live_version(spec: ModelSpec, connections: Connections) -> ModelVersion:
    running = live(connections.manifests_remote, spec.name)
    if running is None:
        raise InputError(
            f"nothing of {spec.name} is live, so there is no training data to compare with; "
            f"first: ostinato run {spec.name}"
        )
    version = registry(connections.tracking_uri).version(running.registered_model, running.version)
    if version is None:
        raise InputError(
            f"git says that version {running.version} of {running.registered_model} is live, and the registry has "
            "none; check the tracking URI"
        )
    return version


def _training_data(tracking_uri: str, version: ModelVersion, folder: Path) -> tuple[Path, DataCard]:
    """The kept training rows of a version, and its data card."""
    client = mlflow_client(tracking_uri)
    with registry_errors(tracking_uri):
        names = {file.path for file in client.list_artifacts(version.run_id)} if version.run_id else set()
        if not {REFERENCE_FILE, DATA_CARD_FILE} <= names:
            raise InputError(
                f"version {version.version} of {version.name} keeps no {REFERENCE_FILE} in its run "
                f"{version.run_id or '(none)'}: its spec had no drift_watch then; train it again: ostinato run"
            )
        rows, card = (
            Path(client.download_artifacts(version.run_id, name, str(folder)))
            for name in (REFERENCE_FILE, DATA_CARD_FILE)
        )
    return rows, DataCard.read(card)


def _record_windows(
    windows: Sequence[Window],
    records: Records,
    version: str,
    data: DataSpec,
    spec: DriftWatchSpec,
    reference: Path,
    uri: str,
    folder: Path,
) -> None:
    """Score and record windows, oldest first."""
    import polars as pl

    before = pl.read_parquet(reference)
    columns = _columns(before, data, spec)
    time = data.time if data.time in before.columns else None
    if is_request_log(uri):
        rows = log_rows(uri, folder, data, before, windows)
    else:
        rows = table_rows(uri, folder, data, windows)
    baseline = Baseline(before, time, spec, columns)
    units = {name: column.unit for name, column in data.columns.items()}
    for window in windows:
        report = report_window(baseline, rows, window, spec, units)
        with tempfile.TemporaryDirectory(prefix="ostinato-drift-") as name:
            page = _write_page(Path(name, "report.html"), baseline, before, rows, window, report)
            records.keep(version, report, page)


def _write_page(
    path: Path, baseline: Baseline, before: "pl.DataFrame", rows: Live, window: Window, report: WindowReport
) -> Path | None:
    """Of a window that stands out: each has some megabytes."""
    if not report.scores or report.seen.finding == "no drift":
        return None
    write_report(path, before.filter(baseline.rows_compared(window)), rows.of(window), report.scores)
    return path


def _columns(reference: "pl.DataFrame", data: DataSpec, spec: DriftWatchSpec) -> list[str]:
    """Inputs of the model that are compared. Raises InputError for one that it does not have."""
    inputs = [name for name in reference.columns if name not in (data.target, data.time, data.key)]
    for name in spec.columns:
        if name not in inputs:
            hint = did_you_mean(name, inputs)
            raise InputError(f"drift_watch.columns names {name!r}, no input of the live version. {hint}")
        if not method_of(reference[name]):
            kind = reference[name].dtype
            raise InputError(f"drift_watch.columns names {name!r}, a {kind} column, which has no drift score")
    return list(spec.columns) or inputs


def _decided(
    model: str, version: str, records: Records, windows: Sequence[Window], spec: DriftWatchSpec, ask: Ask | None
) -> Watched:
    ends = {window.end for window in windows}
    kept = [window for window in records.windows(version) if window.seen.end in ends]
    newest: Kept | None = kept[-1] if kept else None
    decided = newest.decided if newest else None
    if decided is None or decided.decision != "ask":
        decided = decide([window.seen for window in kept], records.asked(), spec)
        if newest:
            records.decide(newest, decided)
    seen = tuple(window.seen for window in kept)
    watched = Watched(model, version, seen, decided.decision, decided.reason, newest.answer if newest else "")
    if decided.decision != "ask" or watched.answer or ask is None or newest is None:
        return watched
    answer = ask(watched)
    records.answer(newest, answer)
    return replace(watched, answer=answer)
