"""`ostinato schedule apply`: the schedules of an engine become those that git has."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.backends.remote import Engine, ScheduleEntry, Submission
from pipelines.settings.settings import Workspace
from pipelines.submit import labels_of, package_for, remote_arguments
from training.errors import InputError
from training.folder import model_names, model_spec
from training.spec.model import ModelSpec

Action = Literal["create", "change", "delete", "keep"]


@dataclass(frozen=True)
class Wanted:
    """A schedule that git has, and what it starts."""

    entry: ScheduleEntry
    submission: Submission


@dataclass(frozen=True)
class Change:
    """What is done to the schedule of a model."""

    action: Action
    model: str
    before: ScheduleEntry | None
    after: ScheduleEntry | None
    wanted: Wanted | None = None

    def line(self) -> str:
        """As `--dry-run` shows it."""
        times = [f"{entry.cron} {entry.time_zone}" for entry in (self.before, self.after) if entry]
        if self.action == "change" and times[0] == times[1]:
            paused = "" if self.before is None or self.before.active else ", and was paused"
            return f"change  {self.model}: {times[1]}, another package or other arguments{paused}"
        return f"{self.action:<7} {self.model}: {' -> '.join(times) if self.action == 'change' else times[0]}"


def wanted_schedules(workspace: Workspace, backend: str, names: Iterable[str]) -> list[Wanted]:
    """What git has, for an engine. Raises InputError as `ostinato submit` does."""
    found = []
    for name in names:
        spec = model_spec(workspace.root, name)
        if spec.schedule is not None:
            found.append(_wanted(workspace, backend, spec))
    return found


def _wanted(workspace: Workspace, backend: str, spec: ModelSpec) -> Wanted:
    assert spec.schedule is not None
    # An engine does not see that there is new data behind a source, so that its cache would answer for ever.
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
    return Wanted(ScheduleEntry(spec.name, cron, zone, digest), submission)


def difference(wanted: Sequence[Wanted], there: Sequence[ScheduleEntry]) -> list[Change]:
    """What has to be done, by model; of several schedules of a model the first equal one stays."""
    changes: list[Change] = []
    left = list(there)
    for one in wanted:
        own = [entry for entry in left if entry.model == one.entry.model]
        equal = [entry for entry in own if entry.digest == one.entry.digest and entry.active]
        before = (equal or own or [None])[0]
        if before is not None:
            left.remove(before)
        action: Action = "keep" if equal else "change" if before else "create"
        changes.append(Change(action, one.entry.model, before, one.entry, one))
    changes += [Change("delete", entry.model, entry, None) for entry in left]
    return sorted(changes, key=lambda change: change.model)


def plan(workspace: Workspace, engine: Engine, model: str | None) -> list[Change]:
    """The difference between git and the engine, for all models or one of them."""
    names = model_names(workspace.root)
    if model is not None and model not in names:
        raise InputError(f"there is no model {model!r}; a schedule of one that is gone is deleted by: schedule apply")
    wanted = wanted_schedules(workspace, engine.name, [model] if model else names)
    there = [entry for entry in engine.schedules() if model in (None, entry.model)]
    return difference(wanted, there)


def carry_out(engine: Engine, change: Change) -> None:
    """Do what the change says. Raises OstinatoError if the engine can't be used; then apply again."""
    if change.action == "delete":
        assert change.before is not None
        engine.delete_schedule(change.before)
    elif change.action != "keep":
        assert change.wanted is not None
        entry, there = change.wanted.entry, change.before
        at = ScheduleEntry(entry.model, entry.cron, entry.time_zone, entry.digest, there.id if there else "")
        engine.put_schedule(at, change.wanted.submission)
