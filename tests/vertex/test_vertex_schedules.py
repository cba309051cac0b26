"""Schedules on Vertex AI's schedule service: created once, changed, started again, deleted."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from google.cloud import aiplatform_v1
from harness.loopback import Fault
from vertex.vertex_server import VertexServer

from pipelines.backends.remote import ScheduleEntry, Submission
from pipelines.backends.vertex.backend_client import VertexClient
from training.errors import OstinatoError

Make = Callable[..., Submission]
MONDAY = ScheduleEntry("demand-forecaster", "0 3 * * 1", "Europe/Berlin", "0123456789abcdef")


def test_a_schedule_is_created_once_and_read_back_as_it_was(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    made = engine.put_schedule(MONDAY, submission())
    assert made == replace(MONDAY, id=made.id) and made.id.startswith("projects/acme-ml/locations/europe-west4/sched")
    assert engine.put_schedule(MONDAY, submission()) == made
    assert engine.schedules() == [made]
    (sent,) = vertex.requests
    assert sent["body"]["cron"] == "TZ=Europe/Berlin 0 3 * * 1"


@pytest.mark.parametrize("trouble", [{"status": 503}, {"cut": True}])
def test_a_schedule_whose_answer_was_lost_is_not_made_twice(
    trouble: dict, vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    vertex.faults.append(Fault("POST", "/schedules", done=True, **trouble))
    made = engine.put_schedule(MONDAY, submission())
    assert list(vertex.state.schedules) == [made.id]


def test_a_schedule_that_can_not_be_made_is_told_after_a_bounded_number_of_tries(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    vertex.faults.append(Fault("POST", "/schedules", status=503, times=9))
    with pytest.raises(OstinatoError, match=r"creating the schedule of demand-forecaster: .* answered 503"):
        engine.put_schedule(MONDAY, submission())
    assert vertex.faults[0].times == 6
    assert not vertex.state.schedules


def test_a_changed_schedule_keeps_its_id_and_has_all_that_is_new(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    made = engine.put_schedule(MONDAY, submission())
    wanted = replace(made, cron="30 4 * * *", time_zone="UTC", digest="f" * 16)
    engine.put_schedule(wanted, submission(arguments={"as_of": "2026-01-01"}))
    assert engine.schedules() == [wanted]
    (there,) = vertex.state.schedules.values()
    job = there.create_pipeline_job_request.pipeline_job
    assert dict(job.runtime_config.parameter_values)["as_of"].string_value == "2026-01-01"
    assert list(job.runtime_config.parameter_values) == ["as_of"]


def test_a_schedule_that_somebody_paused_is_started_again(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    made = engine.put_schedule(MONDAY, submission())
    (there,) = vertex.state.schedules.values()
    there.state = aiplatform_v1.Schedule.State.PAUSED
    assert not engine.schedules()[0].active
    engine.put_schedule(made, submission())
    assert engine.schedules() == [made]


def test_a_schedule_that_somebody_deleted_is_made_anew(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    made = engine.put_schedule(MONDAY, submission())
    vertex.state.schedules.clear()
    assert engine.put_schedule(made, submission()).id != made.id
    assert len(vertex.state.schedules) == 1


def test_deleting_twice_is_deleting_once(vertex: VertexServer, engine: VertexClient, submission: Make) -> None:
    made = engine.put_schedule(MONDAY, submission())
    engine.delete_schedule(made)
    engine.delete_schedule(made)
    assert not vertex.state.schedules


def test_only_ours_are_told_over_all_pages(vertex: VertexServer, engine: VertexClient, submission: Make) -> None:
    for model in ("a", "b", "c", "d"):
        engine.put_schedule(replace(MONDAY, model=model), submission(model=model))
    entries = list(vertex.state.schedules.values())
    entries[1].create_pipeline_job_request.pipeline_job.labels["part-of"] = "something-else"
    entries[2].state = aiplatform_v1.Schedule.State.COMPLETED
    assert [entry.model for entry in engine.schedules()] == ["a", "d"]
