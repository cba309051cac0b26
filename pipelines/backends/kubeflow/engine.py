"""Kubeflow Pipelines 2 as an engine: what is there is looked up before anything is made."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import kfp_server_api as api

from pipelines.backends.kubeflow.connection import Connection, Patience
from pipelines.backends.kubeflow.failures import Failure
from pipelines.backends.kubeflow.schedules import (
    RUN,
    RecurringRuns,
    check_zone,
    description,
    recurring_name,
    six_fields,
)
from pipelines.backends.kubeflow.states import remote_run, run_id, state_of
from pipelines.backends.kubeflow.uploads import named, package_text, step_names, upload
from pipelines.backends.remote import ENDED, PART_OF, RemoteRun, ScheduleEntry, Submission
from pipelines.engine_settings import KubeflowSettings
from training.errors import InputError, OstinatoError

Entry = dict[str, Any]
NEWEST = "created_at desc"


class KubeflowEngine:
    """One installation, by its settings.

    All methods raise InputError for settings that can't be right, and OstinatoError for an engine that can't be used.
    """

    name = "kubeflow"

    def __init__(self, settings: KubeflowSettings, patience: Patience = Patience()) -> None:  # noqa: B008
        self.settings = settings
        self._connection = Connection(settings, patience)
        self._versions: dict[str, Entry] = {}
        self._models: dict[str, str] = {}
        self.differences: list[str] = []
        """Where this installation is another than Kubeflow Pipelines 2.17, as far as it was met."""

    @cached_property
    def _namespace(self) -> str:
        """Of a multi-user installation; one for a single user refuses any."""
        health = self._connection.ask("asking for its health", self._connection.health.healthz_service_get_healthz)
        if "pipeline_store" not in health:
            self.differences.append("its API is older than 2.17: it does not tell where pipelines are stored")
        if health.get("multi_user") and not self.settings.namespace:
            raise InputError(
                f"Kubeflow at {self.settings.endpoint} is for many users; set kubeflow.namespace to the profile's"
            )
        if self.settings.namespace and not health.get("multi_user"):
            self.differences.append("it is for a single user, so kubeflow.namespace is not used")
            return ""
        return self.settings.namespace

    @property
    def _where(self) -> dict[str, str]:
        return {"namespace": self._namespace} if self._namespace else {}

    @cached_property
    def _experiment(self) -> str:
        """Id of the experiment, which is made unless it is there."""
        name, experiments = self.settings.experiment, self._connection.experiments

        def look() -> Entry | None:
            listed = self._connection.every(
                f"looking for the experiment {name}",
                "experiments",
                experiments.experiment_service_list_experiments,
                filter=named(name),
                **self._where,
            )
            return next((one for one in listed if one.get("display_name") == name), None)

        made = api.V2beta1Experiment(display_name=name, **self._where)
        found, _ = self._connection.settle(
            f"creating the experiment {name}",
            look,
            lambda: self._connection.once(experiments.experiment_service_create_experiment, made),
        )
        return found["experiment_id"]

    def submit(self, submission: Submission) -> RemoteRun:
        """Start it; the run of this id that is there already instead."""
        there = self._oldest(submission.run)
        if there:
            return self._told(there)
        version = self._upload(submission)
        body = api.V2beta1Run(
            display_name=submission.run,
            description=_description(submission.labels),
            experiment_id=self._experiment,
            pipeline_version_reference=_reference(version),
            runtime_config=self._runtime(submission.arguments),
            service_account=self.settings.service_account or None,
        )
        made, new = self._connection.settle(
            f"starting the run {submission.run}",
            lambda: self._oldest(submission.run),
            lambda: self._connection.once(self._connection.runs.run_service_create_run, body),
        )
        first = self._oldest(submission.run) or made
        if new and first["run_id"] != made["run_id"]:  # somebody else started it in the same moment
            self._terminate(made["run_id"])
            return self._told(first)
        return self._told(made, new=new)

    def get(self, run: str) -> RemoteRun:
        """Raises InputError if there is none of this id."""
        found = self._find(run)
        asked = self._connection.ask(f"asking for the run {run}", self._run_api.run_service_get_run, found["run_id"])
        return self._told(asked)

    def cancel(self, run: str) -> None:
        found = self._find(run)
        if state_of(found.get("state")) not in ENDED:
            self._terminate(found["run_id"])

    def resume(self, run: str) -> RemoteRun:
        """Go on from the first step that did not finish, with the artifacts of the others.

        Raises OstinatoError where the installation can't run steps again.
        """
        number = self._find(run)["run_id"]

        def going_on() -> Entry | None:
            now = self._connection.ask(f"asking for the run {run}", self._run_api.run_service_get_run, number)
            return None if state_of(now.get("state")) in ("failed", "cancelled") else now

        def retry() -> Entry:
            try:
                return self._connection.once(self._run_api.run_service_retry_run, number)
            except Failure as failure:
                if failure.status in (404, 405, 501):
                    self.differences.append(f"it can't run the steps of a run again ({failure.status})")
                    raise OstinatoError(
                        f"Kubeflow at {self.settings.endpoint} can't go on with the run {run}: it has no :retry "
                        f"({failure.status}: {failure.text}). Submit the model again: steps with equal inputs are "
                        "answered by its cache"
                    ) from failure
                raise

        self._connection.settle(f"going on with the run {run}", going_on, retry)
        return self.get(run)

    def runs(self, since: datetime) -> list[RemoteRun]:
        """Ours, newest first; without their steps."""
        found: list[RemoteRun] = []
        token = ""
        while True:
            page = self._connection.ask(
                "listing the runs",
                self._run_api.run_service_list_runs,
                experiment_id=self._experiment,
                sort_by=NEWEST,
                page_size=100,
                **({"page_token": token} if token else {}),
            )
            for one in page.get("runs") or []:
                if _moment(one) < since.astimezone(UTC):
                    return found
                model = self._model((one.get("pipeline_version_reference") or {}).get("pipeline_id", ""))
                if model:
                    found.append(remote_run(one, (), model, self.settings.endpoint))
            token = page.get("next_page_token") or ""
            if not token:
                return found

    def schedules(self) -> list[ScheduleEntry]:
        """Ours."""
        return self._recurring.entries()

    def put_schedule(self, entry: ScheduleEntry, submission: Submission) -> ScheduleEntry:
        """Create it, or change the one of ``entry.id``: a new one is made, then the old one deleted.

        Killed in between, both are there, and the old one is one of another digest than what git has.
        """
        check_zone(entry, self.settings)
        version = self._upload(submission)
        arguments = dict(submission.arguments)
        if "run" in arguments:
            arguments["run"] = f"{entry.model}-{RUN}"
        body = api.V2beta1RecurringRun(
            display_name=recurring_name(entry),
            description=description(entry),
            experiment_id=self._experiment,
            pipeline_version_reference=_reference(version),
            runtime_config=self._runtime(arguments),
            service_account=self.settings.service_account or None,
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=six_fields(entry.cron))),
            max_concurrency="1",
            no_catchup=True,
            mode="ENABLE",
        )
        made = self._recurring.create(entry, body)
        if entry.id and entry.id != made.id:
            self._recurring.delete(entry)
        return made

    def delete_schedule(self, entry: ScheduleEntry) -> None:
        """One that is not there is deleted."""
        self._recurring.delete(entry)

    @property
    def _run_api(self) -> api.RunServiceApi:
        return self._connection.runs

    def _upload(self, submission: Submission) -> Entry:
        text = package_text(submission.package, submission.cache)
        version = upload(self._connection, self._namespace, submission.model, text)
        self._versions[version["pipeline_version_id"]] = version
        return version

    def _runtime(self, arguments: Mapping[str, str]) -> api.V2beta1RuntimeConfig:
        return api.V2beta1RuntimeConfig(parameters=dict(arguments), pipeline_root=self.settings.pipeline_root or None)

    def _terminate(self, number: str) -> None:
        def ended() -> Entry | None:
            now = self._connection.ask("asking for the run", self._run_api.run_service_get_run, number)
            return now if now.get("state") == "CANCELING" or state_of(now.get("state")) in ENDED else None

        terminate = self._run_api.run_service_terminate_run
        self._connection.settle("cancelling the run", ended, lambda: self._connection.once(terminate, number))

    def _oldest(self, run: str) -> Entry | None:
        """The first run of this id: two submitters that start it in one moment agree on that."""
        listed = self._connection.every(
            f"looking for the run {run}",
            "runs",
            self._run_api.run_service_list_runs,
            experiment_id=self._experiment,
            filter=named(run),
        )
        found = [one for one in listed if one.get("display_name") == run]
        return min(found, key=lambda one: (one.get("created_at") or "", one["run_id"])) if found else None

    def _find(self, run: str) -> Entry:
        """A run by our id, of a recurring run's too, or by Kubeflow's. Raises InputError if there is none."""
        found = self._oldest(run)
        if found:
            return found
        listed = self._connection.every(
            "listing the runs", "runs", self._run_api.run_service_list_runs, experiment_id=self._experiment
        )
        for one in listed:
            if run in (run_id(one), one["run_id"]):
                return one
        raise InputError(
            f"there is no run {run!r} in the experiment {self.settings.experiment} of Kubeflow at "
            f"{self.settings.endpoint}"
        )

    @property
    def _recurring(self) -> RecurringRuns:
        return RecurringRuns(self._connection, self._experiment)

    def _model(self, pipeline: str) -> str:
        """Name of a pipeline, which is the model's; "" for one that is not ours to see."""
        if pipeline not in self._models:
            list_them = self._connection.pipelines.pipeline_service_list_pipelines
            listed = self._connection.every("listing the pipelines", "pipelines", list_them, **self._where)
            self._models |= {one["pipeline_id"]: one["display_name"] for one in listed}
        return self._models.setdefault(pipeline, "")

    def _told(self, run: Entry, new: bool = False) -> RemoteRun:
        reference = run.get("pipeline_version_reference") or {}
        version = self._version(reference)
        model = self._model(reference.get("pipeline_id", ""))
        return remote_run(run, step_names(version), model, self.settings.endpoint, new=new)

    def _version(self, reference: Entry) -> Entry:
        number = reference.get("pipeline_version_id", "")
        if number and number not in self._versions:
            get = self._connection.pipelines.pipeline_service_get_pipeline_version
            doing = "asking for the pipeline's version"
            self._versions[number] = self._connection.ask(doing, get, reference["pipeline_id"], number)
        return self._versions.get(number, {})


def _reference(version: Entry) -> api.V2beta1PipelineVersionReference:
    return api.V2beta1PipelineVersionReference(
        pipeline_id=version["pipeline_id"], pipeline_version_id=version["pipeline_version_id"]
    )


def _description(labels: Mapping[str, str]) -> str:
    """Kubeflow's runs have no labels."""
    return " ".join(f"{name}={value}" for name, value in {"part-of": PART_OF, **labels}.items())


def _moment(run: Entry) -> datetime:
    found = datetime.fromisoformat(run.get("created_at") or "1970-01-01T00:00:00+00:00")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
