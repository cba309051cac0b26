"""Following a run: patient with a backend that restarts, not without end, and clear about what is not known."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from harness.command_line import Finished
from harness.kubeflow.server import KfpServer

from pipelines.backends.remote import BackendClient, BackendSilent, RemoteRun, StepState
from pipelines.waiting import SILENCE, Wait, check_ended
from training.errors import GateRefused, OstinatoError

Run = Callable[..., Finished]
MODEL = "demand-forecaster"
BEGAN = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
GOES_ON = RemoteRun("m-1", "id", "m", "running", "https://kubeflow.example.org", (StepState("train", "running"),))
ENDED = replace(GOES_ON, state="succeeded", steps=(StepState("train", "succeeded"),), decision="pass")
NOBODY = BackendSilent("Kubeflow gave no whole answer: Connection refused")


@dataclass
class Client:
    """A backend that gives these answers, the last of them again and again."""

    answers: list[RemoteRun | Exception]
    name: str = "kubeflow"

    def get(self, run: str) -> RemoteRun:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Following:
    """A wait whose looks are so many seconds apart, by a clock of its own."""

    apart_s: float = 10
    seconds: float = 0

    def __post_init__(self) -> None:
        self.lines: list[str] = []

    def pause(self) -> None:
        self.seconds += self.apart_s

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)

    def follow(
        self, *answers: RemoteRun | BackendSilent, limit: timedelta = timedelta(days=1), **more: Any
    ) -> RemoteRun:
        wait = Wait(self.pause, limit, say=self.lines.append, now=self.now, **more)
        return wait.follow(cast(BackendClient, Client(list(answers))), "m-1")


@pytest.fixture
def following() -> Iterator[Following]:
    yield Following()


def test_an_api_that_restarts_does_not_end_the_wait_and_is_told_once(following: Following) -> None:
    assert following.follow(GOES_ON, NOBODY, NOBODY, NOBODY, GOES_ON, NOBODY, ENDED) == ENDED
    assert [line.partition(":")[0] for line in following.lines] == [
        "nobody answers, and the question is asked again for up to 2 h"
    ] * 2


def test_nobody_answers_is_no_failed_run(following: Following) -> None:
    following.apart_s = 600
    with pytest.raises(
        BackendSilent, match=r"nobody has answered for 2.17 h, so that it is not known how run m-1 is: Kube"
    ):
        following.follow(GOES_ON, NOBODY)
    assert SILENCE < timedelta(seconds=following.seconds) <= SILENCE + timedelta(seconds=1200)


def test_an_address_at_which_nobody_ever_answered_is_not_waited_for(following: Following) -> None:
    with pytest.raises(BackendSilent, match=r"^nobody answers, so that it is not known"):
        following.follow(NOBODY)
    assert following.seconds == 0
    assert following.follow(NOBODY, ENDED, known=True) == ENDED, "it answered when the run was submitted"


def test_a_wait_has_an_end_that_says_how_to_go_on(following: Following) -> None:
    following.apart_s = 60
    with pytest.raises(
        OstinatoError, match=r"m-1 goes on, and was followed for 90 min, the limit; .*ostinato wait m-1"
    ):
        following.follow(GOES_ON, limit=timedelta(minutes=90))
    assert following.seconds == 91 * 60


def test_for_how_long_nothing_has_started_is_said_more_and_more_seldom(following: Following) -> None:
    following.apart_s = 30
    step = StepState("train", "running", message="it can't be scheduled", waits_since=BEGAN.isoformat())
    following.follow(*[replace(GOES_ON, steps=(step,))] * 41, GOES_ON, ENDED)
    minutes = [line.removesuffix(" min: it can't be scheduled").rpartition(" ")[2] for line in following.lines]
    assert minutes == ["1", "5", "15"]
    assert following.lines[0] == "train: nothing has started for 1 min: it can't be scheduled"


def test_how_a_run_ended_names_each_step_its_reason_and_its_log() -> None:
    failed = replace(
        ENDED, state="failed", decision="", steps=(StepState("train", "failed", message="a\nb", log="curl X"),)
    )
    with pytest.raises(OstinatoError) as caught:
        check_ended(failed)
    assert str(caught.value).split("\n")[1:] == ["  train: a", "    b", "    the whole log: curl X"]
    with pytest.raises(GateRefused, match=r"checks failed: m in run m-1; see https.*\n  train: a\n    b"):
        check_ended(replace(failed, decision="reject"))
    with pytest.raises(OstinatoError, match=r"was cancelled: nothing runs it; see"):
        check_ended(replace(failed, state="cancelled", message="nothing runs it"))


def test_who_waits_reads_why_the_run_failed_and_what_shows_the_rest(kfp: KfpServer, on_kubeflow: Run) -> None:
    run = json.loads(on_kubeflow("submit", MODEL, "--backend", "kubeflow", "--json", expect=0).out)["run"]
    with kfp.lock:
        kfp.state.walk({"preprocess": "FAILED"}, "FAILED", "ValueError: no such column")
    ended = on_kubeflow("wait", run, "--backend", "kubeflow", expect=1)
    assert "preprocess: ValueError: no such column\n    the whole log: curl -s 'http" in ended.err


def test_a_limit_that_is_no_duration_is_refused(on_kubeflow: Run) -> None:
    assert "--timeout: '2' is not a duration" in on_kubeflow(
        "wait", "m-1", "--backend", "kubeflow", "--timeout", "2", expect=2
    ).err  # fmt: skip
