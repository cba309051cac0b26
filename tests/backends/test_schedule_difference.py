"""What `ostinato schedule apply` finds to do."""

from dataclasses import replace
from pathlib import Path

from pipelines.backends.remote import ScheduleEntry, Submission
from pipelines.schedules import DesiredSchedule, difference

MONDAY = ScheduleEntry("churn", "0 3 * * 1", "UTC", "d1", id="7")


def desired(entry: ScheduleEntry) -> DesiredSchedule:
    return DesiredSchedule(replace(entry, id=""), Submission("r", entry.model, Path("p.yaml"), {}, {}))


def lines(git: list[ScheduleEntry], present: list[ScheduleEntry]) -> list[str]:
    return [change.line() for change in difference([desired(entry) for entry in git], present)]


def test_equal_schedules_are_kept() -> None:
    assert lines([MONDAY], [MONDAY]) == ["keep    churn: 0 3 * * 1 UTC"]


def test_a_new_one_is_created_and_one_that_git_has_no_more_is_deleted() -> None:
    other = replace(MONDAY, model="demand", id="8")
    assert lines([MONDAY], [other]) == ["create  churn: 0 3 * * 1 UTC", "delete  demand: 0 3 * * 1 UTC"]


def test_another_time_is_a_change_from_one_to_the_other() -> None:
    assert lines([replace(MONDAY, cron="0 4 * * 1", digest="d2")], [MONDAY]) == [
        "change  churn: 0 3 * * 1 UTC -> 0 4 * * 1 UTC"
    ]


def test_another_package_is_a_change_that_is_told() -> None:
    assert lines([replace(MONDAY, digest="d2")], [MONDAY]) == [
        "change  churn: 0 3 * * 1 UTC, with other code, settings or arguments"
    ]


def test_a_schedule_that_somebody_paused_is_started_again() -> None:
    paused = replace(MONDAY, active=False)
    assert lines([MONDAY], [paused]) == ["change  churn: 0 3 * * 1 UTC, it was paused"]
    assert lines([replace(MONDAY, cron="0 4 * * 1", digest="d2")], [paused]) == [
        "change  churn: 0 3 * * 1 UTC -> 0 4 * * 1 UTC, it was paused"
    ]


def test_of_two_schedules_of_a_model_the_equal_one_stays() -> None:
    stale = replace(MONDAY, digest="d0", id="6")
    changes = difference([desired(MONDAY)], [stale, MONDAY])
    assert [(change.action, change.before and change.before.id) for change in changes] == [
        ("keep", "7"), ("delete", "6")
    ]  # fmt: skip
