"""Schedules of Vertex AI's own schedule service: each asks it for a PipelineJob, whose labels say that it is ours."""

import re
from contextlib import suppress
from typing import Any

from delivery.retry import raised, retrying
from pipelines.backends.remote import PART_OF, ScheduleEntry, Submission
from pipelines.backends.vertex.api_errors import NotThere, Passing
from pipelines.backends.vertex.connection import VertexConnection
from pipelines.backends.vertex.jobs import job_of

DIGEST = "schedule-digest"
"""Label of the jobs, and so of the schedule: what is in force."""
CHANGED = ["cron", "create_pipeline_job_request"]
_CRON = re.compile(r"(?:(?:CRON_)?TZ=(\S+) )?(.+)")


class Schedules:
    """Of one project in one region: the client's part for schedules."""

    def __init__(self, connection: VertexConnection) -> None:
        self._connection = connection

    def schedules(self) -> list[ScheduleEntry]:
        """Ours, oldest first, so that of two equal ones the same is always taken."""
        request = {
            "parent": self._connection.parent,
            "filter": "create_pipeline_job_request:*",
            "order_by": "create_time",
        }
        pages = self._connection.pages("listing schedules", self._connection.schedules.list_schedules, request)
        entries = (_entry(schedule) for page in pages for schedule in page.schedules)
        return [entry for entry in entries if entry is not None]

    def put_schedule(self, entry: ScheduleEntry, submission: Submission) -> ScheduleEntry:
        """Create it, or change the one of ``entry.id`` and start it again if it was paused."""
        desired = self._schedule(entry, submission)
        if entry.id:
            request = {"schedule": {**desired, "name": entry.id}, "update_mask": {"paths": CHANGED}}
            what = f"changing the schedule of {entry.model}"
            try:
                changed = self._connection.call(what, self._connection.schedules.update_schedule, request)
            except NotThere:
                return self._create(entry, desired)  # somebody deleted it
            if changed.state.name == "PAUSED":
                self._connection.call(
                    f"starting the schedule of {entry.model}",
                    self._connection.schedules.resume_schedule,
                    {"name": entry.id},
                )
            return _kept(entry, entry.id)
        return self._create(entry, desired)

    def _create(self, entry: ScheduleEntry, desired: dict[str, Any]) -> ScheduleEntry:
        """Looked up before every try: a schedule has no id of ours that would be refused the second time."""
        what = f"creating the schedule of {entry.model}"
        request = {"parent": self._connection.parent, "schedule": desired}
        for attempt in retrying(self._connection.patience, raised(Passing)):
            present = [
                listed for listed in self.schedules() if (listed.model, listed.digest) == (entry.model, entry.digest)
            ]
            if present:
                return present[0]
            with attempt:
                made = self._connection.once(what, self._connection.schedules.create_schedule, request)
                return _kept(entry, made.name)
        raise AssertionError("a schedule is tried at least once")

    def delete_schedule(self, entry: ScheduleEntry) -> bool:
        """Nothing happens if it is gone. Vertex AI lets the runs of a schedule go on without it."""
        what = f"deleting the schedule of {entry.model}"
        with suppress(NotThere):
            self._connection.call(what, self._connection.schedules.delete_schedule, {"name": entry.id})
        return True

    def _schedule(self, entry: ScheduleEntry, submission: Submission) -> dict[str, Any]:
        job = job_of(submission, self._connection.settings)
        job["labels"] |= {"model": entry.model, "part-of": PART_OF, DIGEST: entry.digest}
        return {
            "display_name": f"ostinato {entry.model}",
            "cron": f"TZ={entry.time_zone} {entry.cron}",
            "max_concurrent_run_count": 1,
            "create_pipeline_job_request": {"parent": self._connection.parent, "pipeline_job": job},
        }


def _entry(schedule: Any) -> ScheduleEntry | None:
    """None for a schedule that is not ours, or that has come to its end."""
    labels = schedule.create_pipeline_job_request.pipeline_job.labels
    if labels.get("part-of") != PART_OF or schedule.state.name == "COMPLETED":
        return None
    zone, cron = _CRON.fullmatch(schedule.cron).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return ScheduleEntry(
        model=labels.get("model", ""),
        cron=cron,
        time_zone=zone or "UTC",
        digest=labels.get(DIGEST, ""),
        id=schedule.name,
        active=schedule.state.name == "ACTIVE",
    )


def _kept(entry: ScheduleEntry, name: str) -> ScheduleEntry:
    return ScheduleEntry(entry.model, entry.cron, entry.time_zone, entry.digest, name)
