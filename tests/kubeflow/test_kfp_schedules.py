"""Schedules at Kubeflow: recurring runs made equal to what git says."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from harness.kubeflow.server import KfpServer
from harness.kubeflow.state import Refused, check_cron
from harness.loopback import Fault
from kubeflow.conftest import connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.recurring_runs import six_fields
from pipelines.backends.remote import ScheduleEntry, Submission
from training.errors import InputError, OstinatoError

Make = Callable[..., Submission]
ENTRY = ScheduleEntry("demand-forecaster", "0 3 * * 1", "UTC", "sha256:" + "a" * 64)
CHANGED = dataclasses.replace(ENTRY, cron="30 4 * * *", digest="sha256:" + "b" * 64)


def test_a_schedule_is_made_once_and_read_back_as_it_was(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    made = engine.put_schedule(ENTRY, submission())
    assert dataclasses.replace(made, id="") == ENTRY
    assert connect(kfp).put_schedule(ENTRY, submission()) == made
    assert engine.schedules() == [made]
    (there,) = kfp.state.recurring.values()
    assert there["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (there["max_concurrency"], there["no_catchup"]) == ("1", True)


def test_a_changed_schedule_takes_the_place_of_the_old_one(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    old = engine.put_schedule(ENTRY, submission())
    new = engine.put_schedule(dataclasses.replace(CHANGED, id=old.id), submission())
    assert engine.schedules() == [new]
    assert (new.cron, new.digest) == (CHANGED.cron, CHANGED.digest)
    recurring = [one for one in kfp.seen if "recurring" in one]
    assert [one.split()[0] for one in recurring] == ["POST", "POST", "DELETE"]


def test_a_change_that_was_cut_short_leaves_one_too_many_which_the_same_change_removes(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    old = engine.put_schedule(ENTRY, submission())
    kfp.faults.append(Fault("DELETE", old.id, status=500, times=99))
    wanted = dataclasses.replace(CHANGED, id=old.id)
    with pytest.raises(OstinatoError, match=r"failed \(500\) while deleting the recurring run"):
        engine.put_schedule(wanted, submission())
    assert {one.digest for one in engine.schedules()} == {ENTRY.digest, CHANGED.digest}
    kfp.faults.clear()
    new = engine.put_schedule(wanted, submission())
    assert engine.schedules() == [new]


@pytest.mark.parametrize("fault", [{"cut": True}, {"status": 502}])
def test_a_schedule_whose_making_was_not_answered_is_not_made_twice(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, fault: dict
) -> None:
    kfp.faults.append(Fault("POST", "/recurringruns", done=True, **fault))
    assert engine.schedules() == []
    made = engine.put_schedule(ENTRY, submission())
    assert engine.schedules() == [made]


def test_deleting_what_is_gone_is_done(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    made = engine.put_schedule(ENTRY, submission())
    kfp.faults.append(Fault("DELETE", made.id, done=True, cut=True))
    engine.delete_schedule(made)
    engine.delete_schedule(made)
    assert engine.schedules() == []
    assert len([one for one in kfp.seen if one.startswith("DELETE")]) == 1


def test_a_schedule_that_was_switched_off_by_hand_is_told_and_made_anew(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    made = engine.put_schedule(ENTRY, submission())
    kfp.state.recurring[made.id]["status"] = "DISABLED"
    (told,) = engine.schedules()
    assert not told.active
    assert engine.put_schedule(told, submission()).active
    assert [one.active for one in engine.schedules()] == [True]


def test_recurring_runs_of_others_are_left_alone(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    engine.put_schedule(ENTRY, submission())
    kfp.state.recurring["theirs"] = {
        "recurring_run_id": "theirs",
        "display_name": "by hand",
        "experiment_id": next(iter(kfp.state.experiments)),
        "trigger": {"periodic_schedule": {"interval_second": "3600"}},
    }
    assert [one.model for one in engine.schedules()] == ["demand-forecaster"]


def test_a_run_of_a_schedule_has_the_id_that_kubeflow_gave_it(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission("by-hand"))
    scheduled = {**kfp.state.only_run(), "run_id": "run-9", "display_name": "demand-forecaster-aaaabbbb-1-123"}
    kfp.state.runs["run-9"] = scheduled
    assert {run.run for run in engine.runs(datetime(2020, 1, 1, tzinfo=UTC))} == {"by-hand", scheduled["display_name"]}
    assert engine.get(scheduled["display_name"]).id == "run-9"


def test_another_time_zone_than_the_installations_is_refused_with_the_way_out(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    berlin = dataclasses.replace(ENTRY, time_zone="Europe/Berlin")
    with pytest.raises(InputError, match=r"schedule.time_zone .* Europe/Berlin.*cronScheduleTimezone"):
        engine.put_schedule(berlin, submission())
    assert kfp.seen == []
    made = connect(kfp, time_zone="Europe/Berlin").put_schedule(berlin, submission())
    assert made.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("cron", "six"),
    [
        ("0 3 * * 1", "0 0 3 * * 1"),
        ("*/15 0-6 1,15 * *", "0 */15 0-6 1,15 * *"),
        ("0 3 * * 7", "0 0 3 * * 0"),
        ("0 3 * * 5-7", "0 0 3 * * 0,5,6"),
        ("0 3 * * mon-fri", "0 0 3 * * 1,2,3,4,5"),
        ("0 3 * * 0-6/2", "0 0 3 * * 0-6/2"),
    ],
)
def test_five_fields_become_six_that_the_scheduler_can_read(cron: str, six: str) -> None:
    assert six_fields(cron) == six
    check_cron(six)


@pytest.mark.parametrize("cron", ["3 * * 1", "CRON_TZ=Europe/Berlin 0 0 3 * * 1", "0 0 3 * * 7", "0 0 3 * * 5-7"])
def test_the_stand_in_refuses_what_the_scheduler_can_not_read(cron: str) -> None:
    with pytest.raises(Refused, match="not a supported format"):
        check_cron(cron)
