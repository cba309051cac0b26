"""Recurring runs: our schedules at Kubeflow. They can't be changed, so a new one is made before the old one goes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.backends.kubeflow.connection import Entry, KubeflowConnection, filter_by
from pipelines.backends.kubeflow.descriptions import described, facts_of
from pipelines.backends.kubeflow.installation import Installation
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.kubeflow.states import run_state
from pipelines.backends.remote import ENDED, ScheduleEntry
from training.errors import InputError, OstinatoError


def six_fields(cron: str) -> str:
    """Kubeflow's form of a cron expression of five fields: seconds come first.

    Of five fields its reader (robfig/cron 1.2 in Kubeflow Pipelines 2.17.0) would take the first for seconds. Days of
    the week are 0 to 6 there, so a 7, or a range that ends on Sunday, is written as a list.
    """
    minute, hour, day, month, weekday = cron.split()
    if re.search(r"[A-Za-z]|(?<![\d/])7", weekday):
        from cronsim import CronSim

        days = {day % 7 for day in CronSim(cron, datetime.now(UTC)).weekdays if isinstance(day, int)}
        weekday = ",".join(map(str, sorted(days)))
    return " ".join(("0", minute, hour, day, month, weekday))


def check_zone(entry: ScheduleEntry, settings: KubeflowSettings) -> None:
    """Raises InputError for a time zone that is not the installation's: Kubeflow's reader of cron expressions knows no
    prefix with a zone, and one setting of the cluster is for all schedules."""
    if entry.time_zone != settings.time_zone:
        raise InputError(
            f"schedule.time_zone of {entry.model} is {entry.time_zone}, and Kubeflow runs every schedule in its one "
            f"zone, which kubeflow.time_zone says is {settings.time_zone}. {_both_times(entry, settings.time_zone)}. "
            f"Write that with schedule.time_zone: {settings.time_zone}, or set cronScheduleTimezone of the cluster's "
            "ConfigMap pipeline-install-config, and kubeflow.time_zone as well"
        )


def _both_times(entry: ScheduleEntry, zone: str) -> str:
    """What the schedule's next time is in another zone, in winter and in summer."""
    from cronsim import CronSim

    year, own_zone, other_zone = datetime.now(UTC).year, ZoneInfo(entry.time_zone), ZoneInfo(zone)
    times = [next(CronSim(entry.cron, datetime(year, month, 1, tzinfo=own_zone))) for month in (1, 7)]
    own, winter, summer = (f"{time:%H:%M}" for time in (times[0], *(time.astimezone(other_zone) for time in times)))
    if winter == summer:
        return f"{own} there is {winter} in {zone}, all year"
    return f"{own} there is {winter} in {zone} in January, and {summer} in July"


def recurring_name(entry: ScheduleEntry) -> str:
    """Name of the recurring run. Kubeflow makes those of its runs from the first 25 characters, a random text and the
    number of the run."""
    return f"{entry.model[:16].rstrip('-')}-schedule"


def description(entry: ScheduleEntry, labels: Mapping[str, str]) -> str:
    """What an entry is known by, for the recurring run's description, with the labels that its runs can't have."""
    facts = {"model": entry.model, "time_zone": entry.time_zone, "digest": entry.digest}
    return described({**labels, **facts})


def entry_of(recurring: Entry) -> ScheduleEntry | None:
    """The schedule that a recurring run is; None for one that is not ours."""
    facts = facts_of(recurring.get("description"))
    cron = ((recurring.get("trigger") or {}).get("cron_schedule") or {}).get("cron", "")
    if not {"model", "digest"} <= facts.keys():
        return None
    return ScheduleEntry(
        model=facts["model"],
        cron=" ".join(cron.split()[1:]),
        time_zone=facts.get("time_zone", "UTC"),
        digest=facts["digest"],
        id=recurring["recurring_run_id"],
        active=_is_on(recurring),
    )


def _is_on(recurring: Entry) -> bool:
    return recurring.get("status", "ENABLED") != "DISABLED" and recurring.get("mode", "ENABLE") != "DISABLE"


class RecurringRuns:
    """Those of our experiment, looked up before they are made or deleted; none while there is no experiment.

    All raise InputError or OstinatoError.
    """

    def __init__(self, connection: KubeflowConnection) -> None:
        self._connection = connection
        self._installation = Installation(connection)

    def schedules(self) -> list[ScheduleEntry]:
        """Ours."""
        return [entry for entry in map(entry_of, self._listed()) if entry]

    def create_schedule(self, entry: ScheduleEntry, body: Any) -> ScheduleEntry:
        """The one of the entry's digest, made from the body unless it is there."""

        def look() -> ScheduleEntry | None:
            key = (entry.model, entry.digest)
            present = (schedule for schedule in self.schedules() if schedule.active)
            return next((schedule for schedule in present if (schedule.model, schedule.digest) == key), None)

        def make() -> ScheduleEntry:
            create = self._connection.recurring.recurring_run_service_create_recurring_run
            made = entry_of(self._connection.once(create, body))
            if made is None:
                raise OstinatoError(f"Kubeflow did not keep the description of the recurring run {body.display_name}")
            return made

        return self._connection.settle(f"creating the recurring run {body.display_name}", look, make)[0]

    def delete_schedule(self, entry: ScheduleEntry) -> bool:
        """Switch it off, and delete it unless a run of it is under way: Kubeflow Pipelines 2.17.0 deletes the workflows
        that it has started with it. Whether it is gone."""
        present = self._recurring(entry)
        if present is None:
            return True
        if _is_on(present):
            self._switch_off(entry)
        if self._is_under_way(entry):
            return False
        self._delete(entry)
        return True

    def _switch_off(self, entry: ScheduleEntry) -> None:
        disable = self._connection.recurring.recurring_run_service_disable_recurring_run

        def off() -> bool | None:
            present = self._recurring(entry)
            return None if present is not None and _is_on(present) else True

        def switch() -> bool:
            self._connection.once(disable, entry.id)
            return True

        self._connection.settle(f"switching off the recurring run of {entry.model}", off, switch)

    def _is_under_way(self, entry: ScheduleEntry) -> bool:
        runs = self._connection.entries(
            f"looking for runs of the recurring run of {entry.model}",
            "runs",
            self._connection.runs.run_service_list_runs,
            experiment_id=self._installation.experiment(),
            filter=filter_by("recurring_run_id", entry.id),
        )
        return any(run.get("recurring_run_id") == entry.id and run_state(run) not in ENDED for run in runs)

    def _delete(self, entry: ScheduleEntry) -> None:
        def gone() -> bool | None:
            return None if self._recurring(entry) else True

        def delete() -> bool:
            self._connection.once(self._connection.recurring.recurring_run_service_delete_recurring_run, entry.id)
            return True

        self._connection.settle(f"deleting the recurring run of {entry.model}", gone, delete)

    def _recurring(self, entry: ScheduleEntry) -> Entry | None:
        return next((recurring for recurring in self._listed() if recurring["recurring_run_id"] == entry.id), None)

    def _listed(self) -> list[Entry]:
        experiment = self._installation.experiment()
        if not experiment:
            return []
        list_them = self._connection.recurring.recurring_run_service_list_recurring_runs
        doing = "listing the recurring runs"
        return list(self._connection.entries(doing, "recurringRuns", list_them, experiment_id=experiment))
