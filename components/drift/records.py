"""What each window said, kept in MLflow: a run a window and live version, found before it is made.

Cool-down and budget are counted from these runs, so a watch that was killed, or runs again, asks once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.drift.decide import Decided, Decision, Finding, Seen, WindowReport
from delivery.effects import effect
from delivery.registry.mlflow import mlflow_client, registry_errors
from delivery.registry.run_files import RunFiles
from delivery.registry.runs import ensure_experiment

if TYPE_CHECKING:
    from mlflow.entities import Run

_TAG = "ostinato.drift."
WINDOW_TAG, VERSION_TAG = f"{_TAG}window", f"{_TAG}version"
FINDING_TAG, REASON_TAG = f"{_TAG}finding", f"{_TAG}reason"
DECISION_TAG, WHY_TAG = f"{_TAG}decision", f"{_TAG}why"
ANSWER_TAG = f"{_TAG}answer"
"""What came of the request for a training."""
REPORT = "drift.html"


@dataclass(frozen=True)
class Kept:
    """A recorded window."""

    run_id: str
    version: str
    seen: Seen
    decided: Decided | None
    answer: str


class Records:
    """The experiment `drift-watch/<model>`. Every method raises OstinatoError if the server can't be used."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = mlflow_client(tracking_uri)
        self.experiment = ensure_experiment(self.client, tracking_uri, f"drift-watch/{model}")

    def windows(self, version: str) -> list[Kept]:
        """Of a version, oldest first; those that were recorded whole."""
        return self._kept(f"tags.`{VERSION_TAG}` = '{version}'")

    def asked(self) -> list[datetime]:
        """Ends of the windows at which a training was asked for, of every version."""
        return [kept.seen.end for kept in self._kept(f"tags.`{DECISION_TAG}` = 'ask'")]

    def keep(self, version: str, report: WindowReport, page: Path | None) -> None:
        """Record a window, unless it is recorded as :func:`settled`."""
        seen, key = report.seen, report.seen.end.isoformat()
        with registry_errors(self.tracking_uri):
            condition = f"tags.`{WINDOW_TAG}` = '{key}' AND tags.`{VERSION_TAG}` = '{version}'"
            runs = _oldest(self.client.search_runs([self.experiment], condition))
            if runs and runs[0].info.status == "FINISHED" and settled(runs[0].data.tags[FINDING_TAG]):
                return
            tags = {WINDOW_TAG: key, VERSION_TAG: version, FINDING_TAG: seen.finding, REASON_TAG: seen.reason[:4000]}
            if runs:
                run = runs[0]
            else:
                run = self.client.create_run(self.experiment, run_name=f"{key} version {version}", tags=tags)
            effect("window recorded")
            self._describe(run.info.run_id, report, tags, page)
            self.client.set_terminated(run.info.run_id)
            effect("window finished")

    def _describe(self, run_id: str, report: WindowReport, tags: dict[str, str], page: Path | None) -> None:
        from mlflow.entities import Metric, RunTag

        seen = report.seen
        values = {"rows": float(seen.rows), "bad_share": seen.bad, "drifted_share": seen.share}
        values["empty_events"] = float(report.empty_events)
        values |= {f"score.{score.column}": score.score for score in report.scores}
        values |= {f"threshold.{score.column}": score.threshold for score in report.scores}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in values.items()]
        self.client.log_batch(run_id, metrics=metrics, tags=[RunTag(*tag) for tag in tags.items()])
        if page:
            RunFiles(self.client, run_id).put(REPORT, page.read_bytes())

    def decide(self, window: Kept, decided: Decided) -> None:
        """Write a decision on its window; a request for a training stays."""
        if window.decided is None or window.decided.decision != "ask":
            with registry_errors(self.tracking_uri):
                self.client.set_tag(window.run_id, WHY_TAG, decided.reason[:4000])
                self.client.set_tag(window.run_id, DECISION_TAG, decided.decision)
            effect("decision recorded")

    def answer(self, window: Kept, answer: str) -> None:
        """Write down what came of a request, so that it is not made again."""
        with registry_errors(self.tracking_uri):
            self.client.set_tag(window.run_id, ANSWER_TAG, answer[:4000])
        effect("answer recorded")

    def _kept(self, condition: str) -> list[Kept]:
        with registry_errors(self.tracking_uri):
            runs: list[Run] = []
            token: str | None = None
            while token != "":
                page = self.client.search_runs(
                    [self.experiment], f"{condition} AND attributes.status = 'FINISHED'", page_token=token
                )
                runs += page
                token = page.token or ""
        by_key = {(run.data.tags[WINDOW_TAG], run.data.tags[VERSION_TAG]): run for run in reversed(_oldest(runs))}
        return sorted((_read(run) for run in by_key.values()), key=lambda window: window.seen.end)


def settled(finding: str) -> bool:
    """Whether a window is not looked at again: rows may still arrive, and bad data may be mended."""
    return finding in ("drift", "no drift")


def _oldest(runs: "Sequence[Run]") -> "list[Run]":
    """By start: of two watches at once the first one's run counts."""
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def _read(run: "Run") -> Kept:
    tags, metrics = run.data.tags, run.data.metrics
    seen = Seen(
        end=datetime.fromisoformat(tags[WINDOW_TAG]),
        finding=cast(Finding, tags[FINDING_TAG]),
        reason=tags[REASON_TAG],
        rows=int(metrics["rows"]),
        bad=metrics["bad_share"],
        share=metrics["drifted_share"],
    )
    decided = Decided(cast(Decision, tags[DECISION_TAG]), tags.get(WHY_TAG, "")) if DECISION_TAG in tags else None
    return Kept(run.info.run_id, tags[VERSION_TAG], seen, decided, tags.get(ANSWER_TAG, ""))
