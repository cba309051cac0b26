"""Recurring runs: our schedules at Kubeflow. They can't be changed, so a new one is made before the old one goes."""

import re
from datetime import UTC, datetime
from typing import Any

from pipelines.backends.kubeflow.connection import Entry, KubeflowConnection
from pipelines.backends.kubeflow.installation import Installation
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import PART_OF, ScheduleEntry
from training.errors import InputError, OstinatoError


def six_fields(cron: str) -> str:
    """Kubeflow's form of a cron expression of five fields: seconds come first.

    Days of the week are 0 to 6 there, so a 7, or a range that ends on Sunday, is written as a list.
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
            f"zone, which kubeflow.time_zone says is {settings.time_zone}; write schedule.time_zone: "
            f"{settings.time_zone}, or set cronScheduleTimezone of the cluster's ConfigMap pipeline-install-config, "
            "and kubeflow.time_zone as well"
        )


def recurring_name(entry: ScheduleEntry) -> str:
    """Name of the recurring run, from which those of its runs are made."""
    return f"{entry.model}-{entry.digest.removeprefix('sha256:')[:12]}"


def description(entry: ScheduleEntry) -> str:
    """What an entry is known by, for the recurring run's description."""
    return f"part-of={PART_OF} model={entry.model} time_zone={entry.time_zone} digest={entry.digest}"


def entry_of(recurring: Entry) -> ScheduleEntry | None:
    """The schedule that a recurring run is; None for one that is not ours."""
    words = (recurring.get("description") or "").split()
    facts = {name: value for name, _, value in (word.partition("=") for word in words)}
    cron = ((recurring.get("trigger") or {}).get("cron_schedule") or {}).get("cron", "")
    if facts.get("part-of") != PART_OF or not {"model", "digest"} <= facts.keys():
        return None
    return ScheduleEntry(
        model=facts["model"],
        cron=" ".join(cron.split()[1:]),
        time_zone=facts.get("time_zone", "UTC"),
        digest=facts["digest"],
        id=recurring["recurring_run_id"],
        active=recurring.get("status", "ENABLED") != "DISABLED" and recurring.get("mode", "ENABLE") != "DISABLE",
    )


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

    def delete_schedule(self, entry: ScheduleEntry) -> None:
        """One that is not there is deleted."""

        def gone() -> bool | None:
            return None if any(recurring["recurring_run_id"] == entry.id for recurring in self._listed()) else True

        def delete() -> bool:
            self._connection.once(self._connection.recurring.recurring_run_service_delete_recurring_run, entry.id)
            return True

        self._connection.settle(f"deleting the recurring run of {entry.model}", gone, delete)

    def _listed(self) -> list[Entry]:
        experiment = self._installation.experiment()
        if not experiment:
            return []
        list_them = self._connection.recurring.recurring_run_service_list_recurring_runs
        doing = "listing the recurring runs"
        return list(self._connection.entries(doing, "recurringRuns", list_them, experiment_id=experiment))
