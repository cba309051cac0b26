"""Following a remote run to its end: patient with a backend that does not answer, and not without end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.backends.remote import ENDED, BackendClient, BackendSilent, RemoteRun, State, StepState
from training.errors import GateRefused, OstinatoError

SILENCE = timedelta(hours=2)
"""For which a backend that has answered before may answer nothing."""
_MINUTES = (1, 5, 15, 60, 240, 720)
"""After which it is said that nothing of a step has started."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Wait:
    """How a run is followed. pause: called between two looks. limit: after which the run is left to itself. on_step:
    called with each step whose state has changed. say: called with what else is to be known. known: the backend has
    just answered, so that the first look is as patient as the others."""

    pause: Callable[[], Any]
    limit: timedelta
    on_step: Callable[[StepState], None] = lambda step: None
    say: Callable[[str], None] = lambda text: None
    known: bool = False
    now: Callable[[], datetime] = _utc_now
    _shown: dict[str, State] = field(default_factory=dict)
    _bounds_passed: dict[str, int] = field(default_factory=dict)

    def follow(self, client: BackendClient, run: str) -> RemoteRun:
        """The run when it has ended.

        Raises OstinatoError where the run goes on for longer than the limit, and BackendSilent if the backend answers
        nothing: that says nothing of the run.
        """
        began = self.now()
        answered, silent = (began if self.known else None), False
        while True:
            try:
                current = client.get(run)
                answered, silent = self.now(), False
                self._show(current)
                if current.state in ENDED:
                    return current
            except BackendSilent as error:
                if answered is None or self.now() - answered > SILENCE:
                    raise self._unknown(run, client, answered or began, error) from error
                if not silent:
                    self.say(f"nobody answers, and the question is asked again for up to {_length(SILENCE)}: {error}")
                silent = True
            if self.now() - began > self.limit:
                raise OstinatoError(
                    f"run {run} goes on, and was followed for {_length(self.limit)}, the limit; follow it with: "
                    f"ostinato wait {run} --backend {client.name}"
                )
            self.pause()

    def _show(self, current: RemoteRun) -> None:
        for step in current.steps:
            if self._shown.get(step.name) != step.state:
                self._shown[step.name] = step.state
                self.on_step(step)
            if step.waits_since:
                self._show_wait(step)

    def _show_wait(self, step: StepState) -> None:
        minutes = int((self.now() - datetime.fromisoformat(step.waits_since)).total_seconds() // 60)
        passed = sum(minutes >= bound for bound in _MINUTES)
        if passed > self._bounds_passed.get(step.name, 0):
            why = f": {step.message}" if step.message else ""
            self.say(f"{step.name}: nothing has started for {minutes} min{why}")
        self._bounds_passed[step.name] = passed

    def _unknown(self, run: str, client: BackendClient, since: datetime, error: BackendSilent) -> BackendSilent:
        lasted = self.now() - since
        silence = f"nobody has answered for {_length(lasted)}" if lasted > timedelta(minutes=1) else "nobody answers"
        return BackendSilent(
            f"{silence}, so that it is not known how run {run} is: {error}; when there is an answer again: "
            f"ostinato wait {run} --backend {client.name}"
        )


def check_ended(run: RemoteRun) -> None:
    """Raises GateRefused where checks failed, and OstinatoError for a run that failed or was cancelled."""
    if run.state == "succeeded" and run.decision != "reject":
        return
    see = f"; see {run.link}" if run.link else ""
    failed = "".join(_reason(step) for step in run.steps if step.state == "failed")
    if run.decision == "reject":
        raise GateRefused(f"checks failed: {run.model} in run {run.run}{see}{failed}")
    if run.state == "cancelled" and run.message:
        raise OstinatoError(f"run {run.run} was cancelled: {run.message}{see}")
    if run.state == "cancelled":
        raise OstinatoError(f"run {run.run} was cancelled{see}; go on with: ostinato submit --resume {run.run}")
    raise OstinatoError(f"run {run.run} failed{': ' + run.message if run.message else ''}{see}{failed}")


def _reason(step: StepState) -> str:
    """Lines of a step that failed."""
    message = (step.message or "failed").replace("\n", "\n    ")
    return f"\n  {step.name}: {message}" + (f"\n    the whole log: {step.log}" if step.log else "")


def _length(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.3g} h"
