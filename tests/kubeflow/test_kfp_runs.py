"""Runs at Kubeflow: started once, watched, cancelled, resumed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault
from kubeflow.conftest import connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.remote import Submission
from training.errors import InputError, OstinatoError

Make = Callable[..., Submission]
RUN = "demand-forecaster-4f2a"
STEPS = ("preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def states(engine: KubeflowClient) -> dict[str, str]:
    return {step.name: step.state for step in engine.get(RUN).steps}


def test_a_run_is_started_once_however_often_it_is_submitted(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    first = engine.submit(submission())
    again = connect(kfp).submit(submission())
    assert (first.model, first.state, first.new) == ("demand-forecaster", "pending", True)
    assert again.id == first.id and not again.new
    assert kfp.seen == [
        "POST /apis/v2beta1/experiments",
        "POST /apis/v2beta1/pipelines",
        "POST /apis/v2beta1/pipelines/upload_version",
        "POST /apis/v2beta1/runs",
        "POST /apis/v2beta1/pipelines",
        "POST /apis/v2beta1/pipelines/upload_version",
    ]
    assert first.link == f"{kfp.url}/#/runs/details/{first.id}"
    assert [step.name for step in first.steps] == list(STEPS)


def test_equal_packages_are_one_version_and_another_package_is_another(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, tmp_path: Path
) -> None:
    engine.submit(submission("a-1"))
    engine.submit(submission("a-2"))
    assert len(kfp.state.model_versions) == 1
    other = tmp_path / "package.yaml"
    other.write_text(submission("a-3").package.read_text() + "# another\n")
    engine.submit(submission("a-3", package=other))
    assert len(kfp.state.model_versions) == 2
    assert len(kfp.state.model_pipelines) == len(kfp.state.experiments) == 1


def test_a_run_that_is_there_is_found_and_the_package_of_today_is_not_even_sent(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, tmp_path: Path
) -> None:
    first = engine.submit(submission("a-1"))
    sent = list(kfp.seen)
    other = tmp_path / "package.yaml"
    other.write_text(submission().package.read_text() + "# another\n")
    assert engine.submit(submission("a-1", package=other)).id == first.id
    assert kfp.seen == sent


def test_submitters_in_one_moment_agree_on_one_run(kfp: KfpServer, submission: Make) -> None:
    engines = [connect(kfp) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: one.submit(submission()), engines))
    kept = [run for run in kfp.state.runs.values() if run["state"] == "PENDING"]
    assert len(kept) == 1
    assert {run.id for run in found} == {kept[0]["run_id"]}
    assert len(kfp.state.model_pipelines) == len(kfp.state.model_versions) == len(kfp.state.experiments) == 1


@pytest.mark.parametrize("ends", ["/experiments", "/pipelines", "/pipelines/upload_version", "/runs"])
@pytest.mark.parametrize(
    "fault", [{"cut": True}, {"status": 503}, {"status": 200, "body": b"<html>", "kind": "text/html"}]
)
def test_what_was_made_and_whose_answer_was_lost_is_found_and_not_made_again(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, ends: str, fault: dict
) -> None:
    kfp.faults.append(Fault("POST", ends, done=True, **fault))
    assert engine.submit(submission()).state == "pending"
    assert (
        len(kfp.state.experiments)
        == len(kfp.state.model_pipelines)
        == len(kfp.state.model_versions)
        == len(kfp.state.runs)
        == 1
    )
    assert len(kfp.seen) == 6


@pytest.mark.parametrize("ends", ["/experiments", "/pipelines", "/pipelines/upload_version", "/runs"])
def test_what_was_not_made_is_made_at_the_next_try(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, ends: str
) -> None:
    kfp.faults.append(Fault("POST", ends, status=503, times=2))
    assert engine.submit(submission()).new
    assert len(kfp.state.runs) == 1


def test_steps_are_told_with_their_states_times_and_links(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    assert set(states(engine).values()) == {"pending"}
    kfp.state.walk({"preflight": "SUCCEEDED", "preprocess": "CACHED", "train": "RUNNING"}, "RUNNING")
    told = engine.get(RUN)
    assert told.state == "running"
    assert {step.name: step.state for step in told.steps} == {
        "preflight": "succeeded",
        "preprocess": "cached",
        "train": "running",
        "champion": "pending",
        "evaluate": "pending",
        "register": "pending",
        "deploy": "pending",
    }
    assert (told.steps[1].seconds, told.steps[2].seconds) == (0.0, None)
    assert all(step.link == told.link for step in told.steps)
    kfp.state.walk({name: "SUCCEEDED" for name in STEPS}, "SUCCEEDED")
    told = engine.get(RUN)
    assert (told.state, told.decision) == ("succeeded", "pass")


def test_a_refusal_is_told_by_the_last_word_of_the_steps_log(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    steps = {**{name: "SUCCEEDED" for name in STEPS[:5]}, "register": "FAILED"}
    kfp.state.walk(steps, "FAILED", "training.errors.GateRefused: mae is worse")
    told = engine.get(RUN)
    assert (told.decision, told.state, told.steps[5].message) == ("reject", "failed", "mae is worse")
    kfp.state.walk(steps, "FAILED", "training.errors.OstinatoError: no registry")
    told = engine.get(RUN)
    assert (told.decision, told.steps[5].message, told.steps[6].state) == ("", "no registry", "skipped")


def test_a_failed_step_has_its_message_and_what_comes_after_is_skipped(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    steps = {"preprocess": "SUCCEEDED", "train": "FAILED", "evaluate": "SKIPPED"}
    kfp.state.walk(steps, "FAILED", "ValueError: no such column")
    told = {step.name: step for step in engine.get(RUN).steps}
    assert (told["train"].state, told["train"].message) == ("failed", "ValueError: no such column")
    assert told["evaluate"].state == told["deploy"].state == "skipped"
    assert engine.get(RUN).decision == ""


def test_a_step_whose_driver_failed_has_failed(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "DRIVER FAILED"}, "FAILED", "OSError: argument list too long")
    assert (engine.get(RUN).steps[1].state, engine.get(RUN).steps[1].message) == (
        "failed",
        "OSError: argument list too long",
    )


def test_cancelling_twice_is_cancelling_once(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    engine.submit(submission())
    kfp.faults.append(Fault("POST", ":terminate", done=True, cut=True))
    engine.cancel(RUN)
    kfp.state.walk({"preprocess": "FAILED"}, "CANCELED")
    engine.cancel(RUN)
    assert [one.rpartition(":")[2] for one in kfp.seen].count("terminate") == 1
    assert engine.get(RUN).state == "cancelled"


def test_a_step_that_was_running_when_its_run_was_cancelled_has_not_failed(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.walk({"preflight": "SUCCEEDED", "preprocess": "SUCCEEDED", "train": "FAILED"}, "CANCELED")
    assert list(states(engine).values()) == ["succeeded", "succeeded", "cancelled", *["skipped"] * 4]


def test_a_failed_run_goes_on_with_what_is_done_and_only_once(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "SUCCEEDED", "train": "FAILED"}, "FAILED")
    kfp.faults.append(Fault("POST", ":retry", done=True, status=504))
    resumed = engine.resume(RUN)
    assert resumed.state == "running"
    assert {step.name: step.state for step in resumed.steps[1:3]} == {"preprocess": "succeeded", "train": "pending"}
    assert engine.resume(RUN).state == "running"
    assert [one.rpartition(":")[2] for one in kfp.seen].count("retry") == 1


@pytest.mark.parametrize("status", [404, 501])
def test_an_installation_without_retry_is_told_as_one(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, status: int
) -> None:
    engine.submit(submission())
    kfp.state.walk({"preprocess": "FAILED"}, "FAILED")
    kfp.faults.append(Fault("POST", ":retry", status=status, body=b'{"message": "Not Implemented"}'))
    with pytest.raises(OstinatoError, match=r"can't go on with the run .* has no :retry .*Submit the model again"):
        engine.resume(RUN)
    assert engine.differences == [f"it can't run the steps of a run again ({status})"]


def test_runs_are_told_newest_first_over_all_pages_and_not_those_of_before(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    kfp.state.page = 2
    for i in range(5):
        engine.submit(submission(f"run-{i}"))
    assert [run.run[-2:] for run in engine.runs(LONG_AGO)] == ["-4", "-3", "-2", "-1", "-0"]
    middle = next(run for run in kfp.state.runs.values() if run["display_name"].endswith("-3"))["created_at"]
    assert [run.run[-2:] for run in engine.runs(datetime.fromisoformat(middle))] == ["-4", "-3"]


@pytest.mark.parametrize("heeded", [True, False])
def test_what_is_looked_for_is_found_on_any_page_even_if_a_filter_is_not_heeded(
    kfp: KfpServer, submission: Make, heeded: bool
) -> None:
    kfp.state.page, kfp.state.filters = 1, heeded
    for experiment in ("theirs", "ours"):
        for model in ("churn", "demand-forecaster"):
            for run in ("run-1", "run-2"):
                found = connect(kfp, experiment=experiment).submit(submission(run, model=model))
                assert found.model == "churn" and found.new == (model == "churn")
    assert (len(kfp.state.experiments), len(kfp.state.runs)) == (2, 4)
    assert connect(kfp, experiment="ours").submit(submission("run-3")).model == "demand-forecaster"
    assert [one["name"] for one in kfp.state.model_pipelines.values()] == ["churn", "demand-forecaster"]


def test_looking_makes_nothing(kfp: KfpServer, engine: KubeflowClient) -> None:
    assert (engine.runs(LONG_AGO), engine.schedules()) == ([], [])
    with pytest.raises(InputError, match="there is no run"):
        engine.get(RUN)
    assert kfp.seen == []


def test_a_run_of_another_name_is_wrong_input(engine: KubeflowClient, submission: Make) -> None:
    engine.submit(submission())
    with pytest.raises(InputError, match=r"there is no run 'other' in the experiment ostinato"):
        engine.get("other")


def test_a_package_that_ends_early_has_a_pipeline_of_its_own_and_both_are_described(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    about = "Bike rentals per hour."
    engine.submit(submission("demand-forecaster-1", description=about))
    cut = engine.submit(submission("demand-forecaster-2", description=about, pipeline="demand-forecaster-until-train"))
    assert [pipeline["name"] for pipeline in kfp.state.model_pipelines.values()] == [
        "demand-forecaster", "demand-forecaster-until-train"
    ]  # fmt: skip
    assert all(pipeline["description"] == about for pipeline in kfp.state.model_pipelines.values())
    assert cut.model == engine.get(cut.run).model == "demand-forecaster", "the model's, whatever the pipeline is called"
    for version in kfp.state.model_versions.values():
        assert version["description"] == f"{about} {' > '.join(STEPS)}. First submitted by commit 0123456."
