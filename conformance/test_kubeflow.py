"""docs/how-to/kubeflow.md on a real Kubeflow Pipelines: runs to the commit, and what goes wrong on the way."""

import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor

from conformance.cluster import kubectl, wait_for
from conformance.workspace import MODEL, Workspace

REFUSED, FAILED = 3, 1
ROUNDS = 10
SUBMIT = ("submit", MODEL, "--backend", "kubeflow")
FIRST_DAY, SECOND_DAY = "as_of=2013-06-15", "as_of=2014-06-15"


def pods() -> str:
    """The namespace of the steps' pods."""
    return os.environ.get("OSTINATO_KUBEFLOW__NAMESPACE") or os.environ.get("KUBEFLOW_NAMESPACE", "kubeflow")


def submitted(workspace: Workspace, *options: str) -> str:
    """The id of a run that was started."""
    return json.loads(workspace.ostinato(*SUBMIT, "--json", *options))["run"]


def test_a_run_goes_to_the_commit(kubeflow: Workspace) -> None:
    kubeflow.ostinato(*SUBMIT, "--param", FIRST_DAY, "--wait")
    assert (kubeflow.checkout() / "models" / MODEL / "inferenceservice.yaml").is_file()


def test_a_second_run_is_judged_against_the_champion(kubeflow: Workspace) -> None:
    before = (kubeflow.checkout() / "models" / MODEL / "inferenceservice.yaml").read_text()
    kubeflow.ostinato(*SUBMIT, "--param", SECOND_DAY, "--wait")
    after = (kubeflow.checkout() / "models" / MODEL / "inferenceservice.yaml").read_text()
    assert before != after and "ostinato.dev/previous-version" in after


def test_a_refusal_is_exit_code_3_with_its_reason(kubeflow: Workspace) -> None:
    """The spec goes with the package, so the bound is in force."""
    kubeflow.check(kind="absolute", metric="mae", max=0.001)
    text = kubeflow.ostinato(*SUBMIT, "--param", SECOND_DAY, "--wait", expect=REFUSED)
    assert "mae" in text


def test_a_killed_pod_does_not_end_the_run(kubeflow: Workspace) -> None:
    run = submitted(kubeflow, "--no-cache", "--param", FIRST_DAY)

    def running() -> str | None:
        listed = json.loads(kubectl("-n", pods(), "get", "pods", "-l", "pipeline/runid", "-o", "json"))["items"]
        names = [
            entry["metadata"]["name"]
            for entry in listed
            if "system-container-impl" in entry["metadata"]["name"] and entry["status"]["phase"] == "Running"
        ]
        return names[0] if names else None

    pod = wait_for("a step's pod", running)
    kubectl("-n", pods(), "delete", "pod", pod, "--force", "--grace-period=0")
    kubeflow.ostinato("wait", run, "--backend", "kubeflow", expect=None)
    state = json.loads(kubeflow.ostinato("wait", run, "--backend", "kubeflow", "--json", expect=None))["state"]
    assert state == "succeeded"


def test_a_cancelled_run_is_told_as_cancelled(kubeflow: Workspace) -> None:
    run = submitted(kubeflow, "--no-cache", "--param", FIRST_DAY)
    kubeflow.ostinato("cancel", run, "--backend", "kubeflow")
    text = kubeflow.ostinato("wait", run, "--backend", "kubeflow", expect=FAILED)
    assert "cancelled" in text


def test_two_submits_of_one_key_at_once_are_one_run(kubeflow: Workspace) -> None:
    for _ in range(ROUNDS):
        key = secrets.token_hex(8)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _, key=key: kubeflow.ostinato(*SUBMIT, "--json", "--key", key), range(2)))
        runs = {json.loads(answer)["id"] for answer in answers}  # both would have one name
        assert len(runs) == 1
        again = json.loads(kubeflow.ostinato(*SUBMIT, "--json", "--key", key))
        assert again["new"] is False and again["id"] in runs
        kubeflow.ostinato("cancel", again["run"], "--backend", "kubeflow", expect=None)
