"""`ostinato schedule apply`: the schedules of a backend become those that git has."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.backends.remote import BackendClient, ScheduleEntry, Submission
from pipelines.settings.settings import Workspace
from pipelines.submit import labels_of, package_for, remote_arguments
from training.errors import InputError
from training.folder import model_names, model_spec
from training.spec import ModelSpec

Action = Literal["create", "change", "delete", "keep"]


@dataclass(frozen=True)
class DesiredSchedule:
    """A schedule that git has, and what it starts."""

    entry: ScheduleEntry
    submission: Submission


@dataclass(frozen=True)
class ScheduleChange:
    """What is done to the schedule of a model."""

    action: Action
    model: str
    before: ScheduleEntry | None
    after: ScheduleEntry | None
    desired: DesiredSchedule | None = None

    def line(self) -> str:
        """As `--dry-run` shows it."""
        times = [f"{entry.cron} {entry.time_zone}" for entry in (self.before, self.after) if entry]
        if self.action == "change" and times[0] == times[1]:
            paused = "" if self.before is None or self.before.active else ", and was paused"
            return f"change  {self.model}: {times[1]}, another package or other arguments{paused}"
        return f"{self.action:<7} {self.model}: {' -> '.join(times) if self.action == 'change' else times[0]}"


def desired_schedules(workspace: Workspace, backend: str, names: Iterable[str]) -> list[DesiredSchedule]:
    """What git has, for a backend. Raises InputError as `ostinato submit` does."""
    specs = [model_spec(workspace.root, name) for name in names]
    return [_desired(workspace, backend, spec) for spec in specs if spec.schedule is not None]


def _desired(workspace: Workspace, backend: str, spec: ModelSpec) -> DesiredSchedule:
    assert spec.schedule is not None
    # A backend does not see that there is new data behind a source, so that its cache would answer for ever.
    package = package_for(workspace, spec, backend, fresh=("preprocess",))
    arguments = remote_arguments(workspace, spec, None) | {
        "data_snapshot": "",
        "as_of": "",
        "release": spec.release.mode,
    }
    cron, zone = spec.schedule.cron, spec.schedule.time_zone
    content = hashlib.sha256(package.read_bytes()).hexdigest()
    key = json.dumps([cron, zone, content, arguments], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    submission = Submission(
        run=f"{spec.name}-schedule",
        model=spec.name,
        package=package,
        arguments=arguments,
        labels=labels_of(workspace, spec.name, "schedule"),
    )
    return DesiredSchedule(ScheduleEntry(spec.name, cron, zone, digest), submission)


def difference(desired: Sequence[DesiredSchedule], present: Sequence[ScheduleEntry]) -> list[ScheduleChange]:
    """What has to be done, by model; of several schedules of a model the first equal one stays."""
    changes: list[ScheduleChange] = []
    left = list(present)
    for schedule in desired:
        same_model = [entry for entry in left if entry.model == schedule.entry.model]
        equal = [entry for entry in same_model if entry.digest == schedule.entry.digest and entry.active]
        before = (equal or same_model or [None])[0]
        if before is not None:
            left.remove(before)
        action: Action = "keep" if equal else "change" if before else "create"
        changes.append(ScheduleChange(action, schedule.entry.model, before, schedule.entry, schedule))
    changes += [ScheduleChange("delete", entry.model, entry, None) for entry in left]
    return sorted(changes, key=lambda change: change.model)


def plan(workspace: Workspace, client: BackendClient, model: str | None) -> list[ScheduleChange]:
    """The difference between git and the backend, for all models or one of them."""
    names = model_names(workspace.root)
    if model is not None and model not in names:
        raise InputError(f"there is no model {model!r}; a schedule of one that is gone is deleted by: schedule apply")
    desired = desired_schedules(workspace, client.name, [model] if model else names)
    present = [entry for entry in client.schedules() if model in (None, entry.model)]
    return difference(desired, present)


def carry_out(client: BackendClient, change: ScheduleChange) -> None:
    """Do what the change says. Raises OstinatoError if the backend can't be used; then apply again."""
    if change.action == "delete":
        assert change.before is not None
        client.delete_schedule(change.before)
    elif change.action != "keep":
        assert change.desired is not None
        entry = replace(change.desired.entry, id=change.before.id if change.before else "")
        client.put_schedule(entry, change.desired.submission)
