"""A client of Kubeflow Pipelines 2: what is there is looked up before anything is made."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as api

from pipelines.backends.kubeflow.api_errors import Failure
from pipelines.backends.kubeflow.connection import Entry, KubeflowConnection, KubeflowRetryPolicy
from pipelines.backends.kubeflow.descriptions import described
from pipelines.backends.kubeflow.installation import step_names
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.kubeflow.named_runs import NamedRuns
from pipelines.backends.kubeflow.reasons import with_reasons
from pipelines.backends.kubeflow.recurring_runs import (
    RecurringRuns,
    check_zone,
    description,
    recurring_name,
    six_fields,
)
from pipelines.backends.kubeflow.run_names import display_name
from pipelines.backends.kubeflow.states import remote_run, run_state
from pipelines.backends.remote import ENDED, RemoteRun, ScheduleEntry, Submission
from training.errors import OstinatoError

USUAL = KubeflowRetryPolicy()
GONE = (
    "its recurring run was deleted, and Kubeflow deletes what that has started with it: nothing runs it any more, "
    "whatever state Kubeflow shows"
)


class NothingRuns(OstinatoError):
    """A run without a workflow, whatever state Kubeflow shows."""


class KubeflowClient(RecurringRuns):
    """One installation, by its settings.

    All methods raise InputError for settings that can't be right, and OstinatoError for a backend that can't be used.
    """

    name = "kubeflow"

    def __init__(self, settings: KubeflowSettings, patience: KubeflowRetryPolicy = USUAL) -> None:
        super().__init__(KubeflowConnection(settings, patience))
        self.settings = settings
        self._named = NamedRuns(self._installation)
        self._api = self._connection.runs

    @property
    def differences(self) -> list[str]:
        """Where this installation is another than Kubeflow Pipelines 2.17, as far as that was met."""
        return self._installation.differences

    def submit(self, submission: Submission) -> RemoteRun:
        """Start it; the run of this id that is there already instead."""
        name = display_name(submission, datetime.now(UTC))

        def start() -> Entry:
            body = api.V2beta1Run(display_name=name, description=described(submission.labels), **self._what(submission))
            return self._connection.once(self._api.run_service_create_run, body)

        made, new = self._connection.settle(
            f"starting the run {name}", lambda: self._named.first(submission.run), start
        )
        kept = self._named.agree(submission.run, made)
        new = new and kept is made
        for other in [] if new else self._named.others(submission.run, kept):
            with suppress(NothingRuns):
                self._terminate(other["run_id"])
        return self._told(kept, new=new)

    def get(self, run: str) -> RemoteRun:
        """Raises InputError if there is none of this id."""
        entry = self._now(self._named.find(run)["run_id"])
        gone = self._is_gone(entry)
        return with_reasons(self._connection, entry, self._told(entry, gone=gone, note=GONE if gone else ""))

    def cancel(self, run: str) -> None:
        """Raises OstinatoError where there is nothing left to cancel."""
        entry = self._named.find(run)
        if self._is_gone(entry):
            raise OstinatoError(f"there is nothing to cancel of the run {run}: {GONE}")
        self._terminate(entry["run_id"])

    def resume(self, run: str) -> RemoteRun:
        """Go on from the first step that did not finish, with the artifacts of the others; a run that has not failed
        is left as it is.

        Raises OstinatoError where the installation can't run steps again.
        """
        number = self._named.find(run)["run_id"]

        def going_on() -> Entry | None:
            now = self._now(number)
            if now.get("state") == "CANCELING":
                raise OstinatoError(f"the run {run} is being cancelled; go on with it when it is cancelled")
            return None if run_state(now) in ("failed", "cancelled") else now

        def retry() -> Entry:
            try:
                return self._connection.once(self._api.run_service_retry_run, number)
            except Failure as failure:
                if failure.status not in (404, 405, 501):
                    raise
                self.differences.append(f"it can't run the steps of a run again ({failure.status})")
                raise OstinatoError(
                    f"Kubeflow at {self.settings.endpoint} can't go on with the run {run}: it has no :retry "
                    f"({failure.status}: {failure.text}). Submit the model again: steps with equal inputs are answered "
                    "by its cache"
                ) from failure

        self._connection.settle(f"going on with the run {run}", going_on, retry)
        return self._told(self._now(number))

    def runs(self, since: datetime) -> list[RemoteRun]:
        """Ours, newest first; without their steps."""
        runs: list[RemoteRun] = []
        experiment, list_runs = self._installation.experiment(), self._api.run_service_list_runs
        if not experiment:
            return runs
        newest_first = {"experiment_id": experiment, "sort_by": "created_at desc"}
        for run in self._connection.entries("listing the runs", "runs", list_runs, **newest_first):
            if _moment(run) < since.astimezone(UTC):
                break
            model = self._installation.model(run)
            if model:
                runs.append(remote_run(run, (), model, self.settings.endpoint))
        return runs

    def put_schedule(self, entry: ScheduleEntry, submission: Submission) -> ScheduleEntry:
        """Create it, or change the one of ``entry.id``: a new one is made, then the old one switched off, and deleted
        if no run of it is under way.

        Killed in between, both are there, and the old one is one of another digest than what git has.
        """
        check_zone(entry, self.settings)
        body = api.V2beta1RecurringRun(
            display_name=recurring_name(entry),
            description=description(entry, submission.labels),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=six_fields(entry.cron))),
            max_concurrency="1",
            no_catchup=True,
            mode="ENABLE",
            **self._what(submission),
        )
        made = self.create_schedule(entry, body)
        if entry.id and entry.id != made.id:
            self.delete_schedule(entry)
        return made

    def _what(self, submission: Submission) -> dict[str, Any]:
        """What runs, and where; the experiment and the pipeline's version are made unless they are there."""
        experiment = self._installation.make_experiment()
        version = self._installation.upload(submission)
        return {
            "experiment_id": experiment,
            "pipeline_version_reference": api.V2beta1PipelineVersionReference(
                pipeline_id=version["pipeline_id"], pipeline_version_id=version["pipeline_version_id"]
            ),
            "runtime_config": api.V2beta1RuntimeConfig(
                parameters=dict(submission.arguments), pipeline_root=self.settings.pipeline_root or None
            ),
            "service_account": self.settings.service_account or None,
        }

    def _now(self, number: str) -> Entry:
        return self._connection.ask("asking for the run", self._api.run_service_get_run, number)

    def _terminate(self, number: str) -> None:
        def ended() -> Entry | None:
            now = self._now(number)
            return now if now.get("state") == "CANCELING" or run_state(now) in ENDED else None

        def terminate() -> Entry:
            try:
                return self._connection.once(self._api.run_service_terminate_run, number)
            except Failure as failure:
                if failure.status == 500 and "not found" in failure.text:
                    raise NothingRuns(
                        f"there is nothing to cancel of the run {number}: its workflow is not there any more, and "
                        f"nothing runs it ({failure.text})"
                    ) from failure
                raise

        self._connection.settle("cancelling the run", ended, terminate)

    def _is_gone(self, run: Entry) -> bool:
        """Whether nothing runs it any more: Kubeflow deletes the workflows of a recurring run with it, and leaves their
        runs in the state that they had."""
        recurring = run.get("recurring_run_id")
        if not recurring or run_state(run) in ENDED:
            return False
        return all(entry["recurring_run_id"] != recurring for entry in self._listed())

    def _told(self, run: Entry, *, new: bool = False, gone: bool = False, note: str = "") -> RemoteRun:
        reference = run.get("pipeline_version_reference") or {}
        steps = step_names(self._installation.version(reference))
        model = self._installation.model(run)
        note = "; ".join(self.differences) if new else note
        return remote_run(run, steps, model, self.settings.endpoint, new=new, gone=gone, note=note)


def _moment(run: Entry) -> datetime:
    moment = datetime.fromisoformat(run.get("created_at") or "1970-01-01T00:00:00+00:00")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
