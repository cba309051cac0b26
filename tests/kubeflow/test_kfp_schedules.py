"""Schedules at Kubeflow: recurring runs made equal to what git says."""

import dataclasses
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness.kubeflow.server import KfpServer
from harness.kubeflow.state import Refused, check_cron
from harness.loopback import Fault
from kubeflow.conftest import MODEL, connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.recurring_runs import six_fields
from pipelines.backends.remote import ScheduleEntry, Submission
from training.errors import InputError, OstinatoError
from training.spec.schedule import check_cron as check_spec_cron

Make = Callable[..., Submission]
RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
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
    assert [request.rpartition("/")[2].rpartition(":")[2] for request in recurring] == [
        "recurringruns", "recurringruns", "disable", old.id
    ]  # fmt: skip


def test_the_run_that_a_schedule_has_started_outlives_its_change_and_the_next_apply_clears_up(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    old = engine.put_schedule(ENTRY, submission())
    started = {
        "run_id": "9",
        "display_name": "demand-forecaster-schedulx-1-2",
        "experiment_id": next(iter(kfp.state.experiments)),
        "created_at": "2026-03-02T03:00:00Z",
        "recurring_run_id": old.id,
        "state": "RUNNING",
    }
    kfp.state.runs["9"] = started
    new = engine.put_schedule(dataclasses.replace(CHANGED, id=old.id), submission())
    assert not kfp.state.killed
    left = {entry.id: entry.active for entry in engine.schedules()}
    assert left == {old.id: False, new.id: True}, "the old one is off, so it starts nothing more"
    assert not engine.delete_schedule(old)
    started["state"] = "SUCCEEDED"
    assert connect(kfp).delete_schedule(old)
    assert engine.schedules() == [new] and not kfp.state.killed


def test_a_recurring_run_says_model_commit_and_trigger_and_so_do_the_names_of_its_runs(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.put_schedule(ENTRY, submission(labels={"model": MODEL, "commit": "0123456", "trigger": "schedule"}))
    (recurring,) = kfp.state.recurring.values()
    assert recurring["description"].startswith(f"part-of=ostinato model={MODEL} commit=0123456 trigger=schedule ")
    # Kubeflow Pipelines 2.17.0 keeps 25 characters of it in the names of runs.
    assert recurring["display_name"] == "demand-forecaste-schedule" and len(recurring["display_name"]) == 25


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
    names = {run.run for run in engine.runs(datetime(2020, 1, 1, tzinfo=UTC))}
    assert len(names) == 2 and scheduled["display_name"] in names
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


@pytest.mark.parametrize(
    "cron", ["0 3 * *", "TZ=Europe/Berlin 0 0 3 * * *", "0 0 3 * * 7", "0 0 3 * * 5-7", "0 0 3 L * *", "0 */0 * * * *"]
)
def test_the_stand_in_refuses_what_the_scheduler_can_not_read(cron: str) -> None:
    with pytest.raises(Refused, match="not a supported format"):
        check_cron(cron)


def test_the_stand_in_says_of_a_zone_what_the_scheduler_says_and_takes_five_fields_as_it_does() -> None:
    recorded = json.loads((RECORDED / "kfp-recurring-zone.json").read_text())
    with pytest.raises(Refused) as refused:
        check_cron("TZ=Europe/Berlin 0 0 3 * * *")
    assert recorded["message"].endswith(str(refused.value))
    check_cron(
        json.loads((RECORDED / "kfp-recurring-five-fields.json").read_text())["trigger"]["cron_schedule"]["cron"]
    )


def test_whatever_a_spec_may_say_the_scheduler_can_read() -> None:
    """A thousand expressions of parts that people write; those that the spec refuses are left out."""
    chance = random.Random(7)
    parts = (
        ["0", "5/10", "*/15", "0,30", "59", "3-40/7"],
        ["*", "3", "22", "0-6", "*/2", "23/3"],
        ["*", "?", "1", "15-31", "*/2", "L", "1,15"],
        ["*", "jan", "JUL", "MAR-SEP/3", "2", "1-12"],
        ["*", "?", "0", "7", "5-7", "mon-fri", "SAT,SUN", "0-7/2", "1#2", "SUN"],
    )
    taken = 0
    for _ in range(1000):
        try:
            cron = check_spec_cron(" ".join(chance.choice(field) for field in parts))
        except ValueError:
            continue
        taken += 1
        check_cron(six_fields(cron))
    assert taken > 300


@pytest.mark.parametrize(
    ("zone", "times"),
    [
        ("Europe/Berlin", "03:00 there is 02:00 in UTC in January, and 01:00 in July"),
        ("Asia/Tokyo", "03:00 there is 18:00 in UTC, all year"),
    ],
)
def test_a_refused_zone_comes_with_the_times_that_it_has_in_the_cluster_s(
    zone: str, times: str, engine: KubeflowClient, submission: Make
) -> None:
    with pytest.raises(InputError, match=times):
        engine.put_schedule(dataclasses.replace(ENTRY, time_zone=zone), submission())
