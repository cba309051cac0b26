"""What remote backends have in common: what is submitted, the state of a run, and what a client can do."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal, Protocol

from training.errors import OstinatoError

State = Literal["pending", "running", "succeeded", "cached", "skipped", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")
"""States of a run that change no more."""
PART_OF = "ostinato"
"""Value of the label `part-of`, by which the runs of a backend are known as ours."""


class BackendSilent(OstinatoError):
    """A backend gave no answer, of which nothing follows about its runs; the same question may be answered later."""


@dataclass(frozen=True)
class Submission:
    """What a backend is asked to run."""

    run: str
    """Our id: a lower-case DNS label of at most 63 characters. The run of this id is found before one is made."""
    model: str
    package: Path
    """Compiled for this backend."""
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    """Lower-case letters, digits, `-` and `_`, at most 63 characters each: what every backend takes."""
    description: str = ""
    """The model in a sentence."""
    pipeline: str = ""
    """What the pipeline is called where that is not the model: a package that ends before deploy has its own."""


@dataclass(frozen=True)
class StepState:
    """A step of a run."""

    name: str
    state: State
    link: str = ""
    """Where the backend's UI shows it."""
    message: str = ""
    """Why it failed, or why nothing starts, as far as it is known."""
    log: str = ""
    """The command that prints the whole log of a step that failed."""
    seconds: float | None = None
    waits_since: str = ""
    """When its pod or machine was asked for, where the step runs and nothing has started yet; ISO 8601."""


@dataclass(frozen=True)
class RemoteRun:
    """A run of a backend."""

    run: str
    """What the backend's lists show, and its steps record; at Kubeflow our id with day and trigger in it."""
    id: str
    """The backend's name for it."""
    model: str
    state: State
    link: str
    """Where the backend's UI shows it."""
    steps: tuple[StepState, ...] = ()
    decision: str = ""
    """pass, reject, or empty while it is not known."""
    message: str = ""
    created: str = ""
    """ISO 8601."""
    new: bool = False
    """Made by this call."""


@dataclass(frozen=True)
class ScheduleEntry:
    """A schedule, as git has it or as a backend has it."""

    model: str
    cron: str
    """Five fields."""
    time_zone: str
    digest: str
    """Over all that is in force: the times, the package, the arguments."""
    id: str = ""
    """The backend's name for it."""
    active: bool = True


class BackendClient(Protocol):
    """Submits packages to a backend, and follows its runs.

    All raise InputError for settings that can't be right, and OstinatoError for a backend that can't be used.
    """

    name: str

    def submit(self, submission: Submission) -> RemoteRun:
        """Start it; the run of this id that is there already instead."""
        ...

    def get(self, run: str) -> RemoteRun:
        """Raises InputError if there is none of this id."""
        ...

    def cancel(self, run: str) -> None: ...

    def resume(self, run: str) -> RemoteRun:
        """Go on from the first step that did not finish, with the artifacts of the others."""
        ...

    def runs(self, since: datetime) -> list[RemoteRun]:
        """Ours, newest first."""
        ...

    def schedules(self) -> list[ScheduleEntry]:
        """Ours."""
        ...

    def put_schedule(self, entry: ScheduleEntry, submission: Submission) -> ScheduleEntry:
        """Create it, or change the one of ``entry.id``."""
        ...

    def delete_schedule(self, entry: ScheduleEntry) -> bool:
        """Whether it is gone; False where it starts no more runs, and is kept for one that it has started."""
        ...


def keyed_run(model: str, key: str) -> str:
    """The id of the run that an event starts: equal events start one run."""
    return f"{model[:40].rstrip('-')}-{hashlib.sha256(f'{model} {key}'.encode()).hexdigest()[:16]}"


def label(text: str) -> str:
    """A text as the value of a label."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63].strip("-_")


def in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Names of a compiled pipeline's tasks, in an order that they can run in."""
    after = {name: sorted(tasks[name].get("dependentTasks", [])) for name in sorted(tasks)}
    sorter, names = TopologicalSorter(after), list[str]()
    sorter.prepare()
    while ready := sorted(sorter.get_ready()):
        names += ready
        sorter.done(*ready)
    return names
