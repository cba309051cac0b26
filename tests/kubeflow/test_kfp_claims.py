"""One submission is one run, whoever submits it at the same moment, and wherever a submitter is killed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness.kubeflow.server import KfpServer
from harness.kubeflow.state import SUBMISSIONS, Refused
from kubeflow.conftest import MODEL, connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.claims import PACKAGE
from pipelines.backends.kubeflow.run_names import display_name, is_named
from pipelines.backends.remote import RemoteRun, Submission
from training.errors import OstinatoError

Make = Callable[..., Submission]
ROUNDS = 1000
SUBMITTERS = 4
NIGHT = datetime(2026, 12, 1, 23, 59, tzinfo=UTC)


def live(server: KfpServer, text: str = "") -> list[str]:
    """Ids of the runs that somebody runs."""
    states = ("PENDING", "RUNNING")
    return [
        number for number, run in server.state.runs.items() if run["state"] in states and text in run["display_name"]
    ]


def claims(server: KfpServer) -> list[dict]:
    (pipeline,) = (number for number, entry in server.state.pipelines.items() if entry["name"] == SUBMISSIONS)
    return [version for version in server.state.versions.values() if version["pipeline_id"] == pipeline]


def test_a_thousand_rounds_of_four_submitters_in_one_second_leave_one_run_each(
    kfp: KfpServer, submission: Make, tmp_path: Path
) -> None:
    kfp.state.crowded = True
    small = tmp_path / "package.yaml"
    small.write_text(PACKAGE.replace("tasks: {}", "tasks: {}\n  inputDefinitions: {parameters: {}}"))
    clients = [connect(kfp) for _ in range(SUBMITTERS)]
    with ThreadPoolExecutor(SUBMITTERS) as pool:
        for i in range(ROUNDS):
            one = submission(f"{MODEL}-{i:016x}", package=small, arguments={})
            answers: list[RemoteRun] = list(pool.map(lambda client, one=one: client.submit(one), clients))
            (kept,) = live(kfp)
            assert {answer.id for answer in answers} == {kept}, f"round {i}"
            assert sum(answer.new for answer in answers) == 1
            kfp.state.runs.clear()
            for claim in claims(kfp):
                del kfp.state.versions[claim["pipeline_version_id"]]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_submitter_that_died_before_it_cancelled_its_run_is_cleaned_up_after(
    claimed: bool, kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    first = engine.submit(submission())
    kfp.state.runs["left"] = {**kfp.state.runs[first.id], "run_id": "left"}
    if not claimed:
        del kfp.state.versions[claims(kfp)[0]["pipeline_version_id"]]
    again = connect(kfp).submit(submission())
    assert live(kfp) == [again.id] and not again.new
    assert connect(kfp).get(again.run).id == again.id
    if claimed:
        assert again.id == first.id


def test_a_run_that_somebody_deleted_is_started_anew(kfp: KfpServer, engine: KubeflowClient, submission: Make) -> None:
    first = engine.submit(submission())
    kfp.state.runs.clear()
    again = engine.submit(submission())
    assert again.new and again.id != first.id and live(kfp) == [again.id]
    (claim,) = claims(kfp)
    assert claim["description"] == f"part-of=ostinato run={again.id}"


def test_a_run_that_was_cancelled_is_the_submission_s_still(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    first = engine.submit(submission())
    engine.cancel(first.run)
    assert engine.submit(submission()).id == first.id and not live(kfp)


def test_a_run_that_is_deleted_as_often_as_it_is_started_has_an_end(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.submit(submission())
    kfp.state.runs.clear()
    delete = type(kfp.state)._DeletePipelineVersion

    def another_is_quicker(state: object, parts: dict, query: dict, body: object) -> dict:
        old = kfp.state.versions[parts["pipeline_version_id"]]
        delete(kfp.state, parts, query, body)
        kfp.state.versions[f"{old['pipeline_version_id']}x"] = {
            **old, "pipeline_version_id": f"{old['pipeline_version_id']}x", "description": "part-of=ostinato run=gone"
        }  # fmt: skip
        return {}

    monkeypatch.setattr(type(kfp.state), "_DeletePipelineVersion", another_is_quicker)
    with pytest.raises(OstinatoError, match="is deleted as often as it is started; submit it again"):
        engine.submit(submission())


def test_two_versions_of_one_name_are_refused_by_the_stand_in(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    engine.submit(submission())
    (claim,) = claims(kfp)
    with pytest.raises(Refused, match="Failed to create a pipeline version"):
        kfp.state.answer("UploadPipelineVersion", {}, {"pipelineid": claim["pipeline_id"], "name": claim["name"]}, "")


@pytest.mark.parametrize(
    ("run", "trigger", "name"),
    [
        (f"{MODEL}-0123456789abcdef", "merge", f"{MODEL}-20261201-merge-0123456789abcdef"),
        (f"{MODEL}-20261130-130736-2234", "manual", f"{MODEL}-20261130-130736-manual-2234"),
        ("churn-0123456789abcdef", "a-long-trigger-of-mine-x", "churn-20261201-a-long-trigger-of-mi-0123456789abcdef"),
    ],
)  # fmt: skip
def test_a_name_has_model_day_and_trigger_and_is_found_by_its_id(
    run: str, trigger: str, name: str, submission: Make
) -> None:
    made = display_name(submission(run, labels={"trigger": trigger}), NIGHT)
    assert made == name
    assert is_named(made, run) and is_named(made, made) and is_named(run, run)
    assert not is_named(f"Clone of {made}", run) and not is_named(made, f"another-{run}")


def test_a_key_is_found_on_another_day_and_with_another_trigger(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    first = engine.submit(submission(f"{MODEL}-0123456789abcdef"))
    kfp.state.runs[first.id]["display_name"] = f"{MODEL}-20250101-drift-0123456789abcdef"
    again = engine.submit(submission(f"{MODEL}-0123456789abcdef"))
    assert (again.id, again.new) == (first.id, False)
    assert engine.get(f"{MODEL}-0123456789abcdef").id == first.id
