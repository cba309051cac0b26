"""Runs on Vertex AI: started once, watched, cancelled, resumed, listed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from harness.loopback import Fault
from vertex.conftest import connect
from vertex.vertex_server import VertexServer
from vertex.vertex_state import START

from pipelines.backends.remote import Submission
from pipelines.backends.vertex.backend_client import VertexClient
from pipelines.waiting import check_ended
from training.errors import GateRefused, InputError, OstinatoError

Make = Callable[..., Submission]
RUN = "demand-forecaster-4f2a"
STEPS = ["preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy"]


def stands(run_steps: object) -> list[str]:
    return [step.state for step in run_steps]  # pyright: ignore[reportGeneralTypeIssues]


def test_a_run_is_started_once_and_found_again(vertex: VertexServer, engine: VertexClient, submission: Make) -> None:
    first = engine.submit(submission())
    again = engine.submit(submission())
    assert (first.new, again.new) == (True, False)
    assert first.id == again.id == f"projects/acme-ml/locations/europe-west4/pipelineJobs/{RUN}"
    assert (first.run, first.model, first.state) == (RUN, "demand-forecaster", "pending")
    assert first.link == (
        f"https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/{RUN}?project=acme-ml"
    )
    assert len(vertex.requests) == 1


@pytest.mark.parametrize("trouble", [{"status": 409}, {"status": 503, "done": True}, {"cut": True, "done": True}])
def test_a_run_that_somebody_made_in_the_same_moment_is_found(
    trouble: dict, vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    if "done" not in trouble:
        engine.submit(submission())
        vertex.faults.append(Fault("GET", RUN, status=404))
    vertex.faults.append(Fault("POST", "/pipelineJobs", **trouble))
    assert not engine.submit(submission()).new
    assert len(vertex.state.jobs) == 1


def test_every_step_is_told_with_its_state_its_page_and_its_time(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    waiting = engine.submit(submission())
    assert [step.name for step in waiting.steps] == STEPS
    assert stands(waiting.steps) == ["pending"] * 7
    vertex.state.walk(
        RUN, "RUNNING", {"preflight": "SUCCEEDED", "preprocess": "SKIPPED", "train": "SUCCEEDED", "champion": "RUNNING"}
    )
    run = engine.get(RUN)
    assert (run.state, run.decision) == ("running", "")
    assert stands(run.steps) == ["succeeded", "cached", "succeeded", "running", "pending", "pending", "pending"]
    assert run.steps[2].seconds == 93
    assert run.steps[2].link == (
        "https://console.cloud.google.com/agent-platform/locations/europe-west4/training/3?project=acme-ml"
    )


def test_the_gates_no_is_told_from_a_failure(vertex: VertexServer, engine: VertexClient, submission: Make) -> None:
    engine.submit(submission())
    done = dict.fromkeys(STEPS[:5], "SUCCEEDED")
    vertex.state.walk(RUN, "FAILED", {**done, "register": "FAILED"}, "exit 3", decision="reject")
    refused = engine.get(RUN)
    assert (refused.state, refused.decision, refused.steps[5].message) == ("failed", "reject", "exit 3")
    assert stands(refused.steps)[6] == "skipped"
    with pytest.raises(GateRefused, match="checks failed"):
        check_ended(refused)
    vertex.state.walk(RUN, "FAILED", {**done, "register": "FAILED"}, "no registry", decision="pass")
    with pytest.raises(OstinatoError, match="register: no registry"):
        check_ended(engine.get(RUN))


def test_the_decision_is_read_from_the_verdict_where_the_step_does_not_tell_it(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    engine.submit(submission())
    vertex.state.walk(RUN, "FAILED", {"evaluate": "SKIPPED", "register": "FAILED"})
    assert engine.get(RUN).decision == ""
    (job,) = vertex.state.jobs.values()
    (judged,) = (task for task in job.job_detail.task_details if task.task_name == "evaluate")
    judged.outputs["verdict"].artifacts.add().metadata["decision"] = "reject"
    assert engine.get(RUN).decision == "reject"


def test_a_failure_policy_is_sent_and_settings_that_are_not_given_are_not(
    vertex: VertexServer, submission: Make
) -> None:
    bare = connect(vertex, failure_policy="fast", network="", encryption_key="", service_account="")
    bare.submit(submission())
    (sent,) = vertex.requests
    assert sent["body"]["runtimeConfig"]["failurePolicy"] == 2
    assert not {"network", "encryptionSpec", "serviceAccount"} & sent["body"].keys()


def test_a_run_is_cancelled_once_and_one_that_has_ended_is_not(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    engine.submit(submission())
    engine.cancel(RUN)
    engine.cancel(RUN)
    assert engine.get(RUN).state == "cancelled"
    assert [one["path"].rpartition(":")[2] for one in vertex.requests[1:]] == ["cancel"]
    vertex.state.walk(RUN, "SUCCEEDED", {})
    with pytest.raises(InputError, match="has ended: succeeded"):
        engine.cancel(RUN)


@pytest.mark.parametrize("ask", ["get", "cancel", "resume"])
def test_a_run_that_is_not_there_is_named(ask: str, engine: VertexClient) -> None:
    with pytest.raises(InputError, match="no run 'ghost' on Vertex AI in project acme-ml, region europe-west4"):
        getattr(engine, ask)("ghost")


def test_a_resumed_run_skips_what_succeeded_and_repeats_the_rest(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    engine.submit(submission())
    steps = {
        "preflight": "SKIPPED",
        "preprocess": "SKIPPED",
        "train": "SUCCEEDED",
        "champion": "SUCCEEDED",
        "evaluate": "FAILED",
    }
    vertex.state.walk(RUN, "FAILED", steps, "no memory left")
    first, again = engine.resume(RUN), engine.resume(RUN)
    assert (first.run, first.new, again.run, again.new) == (f"{RUN}-r1", True, f"{RUN}-r1", False)
    assert stands(first.steps) == ["pending", "pending", "succeeded", "succeeded", "pending", "pending", "pending"]
    sent = vertex.requests[-1]["body"]
    skipped = {one["taskName"]: one.get("skipTask", False) for one in sent["pipelineTaskRerunConfigs"]}
    assert skipped == {
        RUN: False,
        "preflight": False,
        "preprocess": False,
        "train": True,
        "champion": True,
        "evaluate": False,
    }
    assert sent["originalPipelineJobId"] == "7001"
    assert {"model", "commit", "trigger", "part-of"} == sent["labels"].keys()
    before = vertex.requests[0]["body"]
    for field in ("pipelineSpec", "runtimeConfig", "serviceAccount", "network", "encryptionSpec"):
        assert sent[field] == before[field]

    vertex.state.walk(f"{RUN}-r1", "CANCELLED", {"train": "SUCCEEDED"})
    assert engine.resume(f"{RUN}-r1").run == f"{RUN}-r2"


@pytest.mark.parametrize(("state", "what"), [("RUNNING", "wait for its end"), ("SUCCEEDED", "nothing to resume")])
def test_a_run_with_nothing_to_resume_is_left_alone(
    state: str, what: str, vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    engine.submit(submission())
    vertex.state.walk(RUN, state, {})
    with pytest.raises(InputError, match=what):
        engine.resume(RUN)
    assert len(vertex.requests) == 1


def test_ours_are_listed_newest_first_over_all_pages(
    vertex: VertexServer, engine: VertexClient, submission: Make
) -> None:
    for number in range(5):
        engine.submit(submission(f"demand-forecaster-{number}"))
    engine.submit(submission("somebody-elses", labels={"model": "x"}))
    listed = engine.runs(START + timedelta(minutes=2))
    assert [run.run for run in listed] == [f"demand-forecaster-{number}" for number in (4, 3, 2, 1)]
    assert listed[0].created == "2026-03-02T03:05:00+00:00"
