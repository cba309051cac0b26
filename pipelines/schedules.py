"""`ostinato schedule apply`: the schedules of a backend become those that git has."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.backends.remote import BackendClient, ScheduleEntry, Submission
from pipelines.package.fingerprints import step_fingerprints
from pipelines.package.imports import Sources
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
        times = list(dict.fromkeys(f"{entry.cron} {entry.time_zone}" for entry in (self.before, self.after) if entry))
        text = f"{self.action:<7} {self.model}: {' -> '.join(times)}"
        if self.action != "change" or self.before is None or self.after is None:
            return text
        reasons = []
        if len(times) == 1 and self.before.digest != self.after.digest:
            reasons.append("with other code, settings or arguments")
        if not self.before.active:
            reasons.append("it was paused")
        return ", ".join([text, *reasons])


def desired_schedules(workspace: Workspace, backend: str, names: Iterable[str]) -> list[DesiredSchedule]:
    """What git has, for a backend. Raises InputError as `ostinato submit` does."""
    specs = [model_spec(workspace.root, name) for name in names]
    return [_desired(workspace, backend, spec) for spec in specs if spec.schedule is not None]


def _desired(workspace: Workspace, backend: str, spec: ModelSpec) -> DesiredSchedule:
    assert spec.schedule is not None
    # A backend does not see that there is new data behind a source, so that its cache would answer for ever.
    package = package_for(workspace, spec, backend, fresh=("preprocess",))
    arguments = remote_arguments(workspace, spec, None, backend) | {
        "data_snapshot": "",
        "as_of": "",
        "release": spec.release.mode,
    }
    cron, zone = spec.schedule.cron, spec.schedule.time_zone
    digest = _digest_in_force(workspace, spec, package.read_text(encoding="utf-8"), arguments)
    submission = Submission(
        run=f"{spec.name}-schedule",
        model=spec.name,
        package=package,
        arguments=arguments,
        labels=labels_of(workspace, spec.name, "schedule"),
        description=spec.description,
    )
    return DesiredSchedule(ScheduleEntry(spec.name, cron, zone, digest), submission)


def _digest_in_force(workspace: Workspace, spec: ModelSpec, package: str, arguments: Mapping[str, str]) -> str:
    """What decides a scheduled run: its times, its package, its arguments, the code and the libraries of every step.

    Neither the commit nor the image counts, since both are others after every merge: a schedule stays with those that
    it was made with for as long as they do the same.
    """
    assert spec.schedule is not None
    code = step_fingerprints(workspace.root, spec, Sources(workspace.root, workspace.packages))
    given = {name: value for name, value in arguments.items() if name != "code_version"}
    in_force = [spec.schedule.cron, spec.schedule.time_zone, package.replace(workspace.image, ""), given, code]
    return hashlib.sha256(json.dumps(in_force, sort_keys=True).encode()).hexdigest()[:16]


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


def carry_out(client: BackendClient, change: ScheduleChange) -> str:
    """Do what the change says, and give its line. Raises OstinatoError if the backend can't be used: apply again."""
    if change.action == "delete":
        assert change.before is not None
        if not client.delete_schedule(change.before):
            return f"{change.line()}, off; a run of it goes on, and the next apply after that deletes it"
    elif change.action != "keep":
        assert change.desired is not None
        entry = replace(change.desired.entry, id=change.before.id if change.before else "")
        client.put_schedule(entry, change.desired.submission)
    return change.line()
