"""`ostinato submit`, `wait` and `cancel` as a user types them, against Kubeflow's API on loopback."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import IMAGE, OSTINATO, REACHABLE, Finished, environment
from harness.kubeflow.server import KfpServer

Run = Callable[..., Finished]
MODEL = "demand-forecaster"
DONE = dict.fromkeys(("preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy"), "SUCCEEDED")


def submitted(on_kubeflow: Run, *more: str) -> dict:
    return json.loads(on_kubeflow("submit", MODEL, "--backend", "kubeflow", "--json", *more, expect=0).out)


def test_a_submission_carries_what_the_steps_need_and_says_where_it_runs(kfp: KfpServer, on_kubeflow: Run) -> None:
    run = submitted(on_kubeflow, "--trigger", "merge", "--param", "as_of=2018-01-01")
    assert run["new"] and run["state"] == "pending" and run["link"].startswith(kfp.url.rstrip("/"))
    sent = kfp.state.only_run()
    given = sent["runtime_config"]["parameters"]
    assert given["tracking_uri"] == REACHABLE["OSTINATO_TRACKING_URI"]
    assert given["manifests_remote"] == REACHABLE["OSTINATO_MANIFESTS_REMOTE"]
    assert (given["as_of"], given["data_uri"]) == ("2018-01-01", ""), "the data is in the image"
    assert given["data_snapshot"].startswith("sha256:")
    assert sent["display_name"] == run["run"]
    (package,) = kfp.state.packages.values()
    assert package.count(IMAGE) == 7


def test_equal_keys_give_one_run_and_other_keys_another(kfp: KfpServer, on_kubeflow: Run) -> None:
    first = submitted(on_kubeflow, "--key", "0123abc")
    again = submitted(on_kubeflow, "--key", "0123abc")
    other = submitted(on_kubeflow, "--key", "4567def")
    assert (first["new"], again["new"], other["new"]) == (True, False, True)
    assert first["run"] == again["run"] != other["run"]
    assert len(kfp.state.runs) == 2 and len(kfp.state.model_versions) == 1, "one package, uploaded once"


@pytest.mark.parametrize(
    ("state", "steps", "message", "code", "told"),
    [
        ("SUCCEEDED", DONE, "", 0, "succeeded, the decision is pass"),
        ("FAILED", {**DONE, "train": "FAILED"}, "ValueError: no memory left", 1, "train: ValueError: no memory left"),
        (
            "FAILED",
            {**DONE, "register": "FAILED"},
            "training.errors.GateRefused: mae",
            3,
            "checks failed: demand-forecaster",
        ),
        ("CANCELED", {"preprocess": "SUCCEEDED"}, "", 1, "was cancelled"),
    ],
)
def test_waiting_ends_as_the_run_does(
    state: str, steps: dict[str, str], message: str, code: int, told: str, kfp: KfpServer, on_kubeflow: Run
) -> None:
    run = submitted(on_kubeflow)["run"]
    with kfp.lock:
        kfp.state.walk(steps, state, message)
    ended = on_kubeflow("wait", run, "--backend", "kubeflow", "--poll", "0.05", expect=code)
    assert told in ended.out + ended.err
    assert "preprocess succeeded" in ended.err


def test_resume_goes_on_with_the_run_that_failed(kfp: KfpServer, on_kubeflow: Run) -> None:
    run = submitted(on_kubeflow)["run"]
    with kfp.lock:
        kfp.state.walk({"preprocess": "SUCCEEDED", "train": "FAILED"}, "FAILED")
    again = submitted(on_kubeflow, "--resume", run)
    assert (again["run"], again["state"]) == (run, "running")
    assert len(kfp.state.runs) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "told"),
    [
        ((), {"OSTINATO_TRACKING_URI": ""}, "tracking_uri 'sqlite:///"),
        ((), {"OSTINATO_MANIFESTS_REMOTE": ""}, "manifests_remote '/"),
        ((), {"OSTINATO_IMAGE": "ostinato:latest"}, "'ostinato:latest' is not named by its digest"),
        ((), {"OSTINATO_KUBEFLOW__ENDPOINT": ""}, "kubeflow.endpoint"),
        (("--data", "rows.csv"), {}, "--data 'rows.csv' is on this machine"),
        (("--until", "trian"), {}, "Did you mean 'train'?"),
        (("--param", "learning=1"), {}, "has no such parameter"),
        (("--release", "now"), {}, "now"),
        (("--on-interrupt", "stop"), {}, "neither leave nor cancel"),
        (("--resume", "x-1", "--key", "k"), {}, "leave out --key"),
        (("--resume", "x-1"), {}, "x-1"),
    ],
)
def test_what_a_backend_can_not_do_is_refused_before_a_run_is_made(
    arguments: tuple[str, ...], settings: dict[str, str], told: str, kfp: KfpServer, on_kubeflow: Run
) -> None:
    refused = on_kubeflow("submit", MODEL, "--backend", "kubeflow", *arguments, expect=2, **settings)
    assert told in refused.err and "Traceback" not in refused.err
    assert not kfp.state.runs


def test_an_unknown_backend_is_refused_by_name(on_kubeflow: Run) -> None:
    assert "Did you mean 'vertex'?" in on_kubeflow("submit", MODEL, "--backend", "vertx", expect=2).err


@pytest.mark.parametrize(("choice", "state"), [("cancel", "CANCELING"), ("leave", "RUNNING")])
def test_ctrl_c_does_to_the_run_what_was_chosen(
    choice: str, state: str, kfp: KfpServer, on_kubeflow: Run, workspace: Path
) -> None:
    run = submitted(on_kubeflow)["run"]
    with kfp.lock:
        kfp.state.walk({"preprocess": "RUNNING"}, "RUNNING")
    command = [str(OSTINATO), "wait", run, "--backend", "kubeflow", "--poll", "0.05", "--on-interrupt", choice]
    env = environment(workspace, **REACHABLE, OSTINATO_KUBEFLOW__ENDPOINT=kfp.url)
    with subprocess.Popen(command, cwd=workspace, env=env, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        line = next(line for line in waiting.stderr if "preprocess running" in line)
        assert line
        waiting.send_signal(signal.SIGINT)
        rest = waiting.stderr.read()
        assert waiting.wait(60) == 130
    assert kfp.state.only_run()["state"] == state
    assert ("cancelled" if choice == "cancel" else f"ostinato wait {run}") in rest


def test_cancel_stops_the_run(kfp: KfpServer, on_kubeflow: Run) -> None:
    run = submitted(on_kubeflow)["run"]
    on_kubeflow("cancel", run, "--backend", "kubeflow", expect=0)
    assert kfp.state.only_run()["state"] == "CANCELING"


def test_outside_of_git_the_commit_is_that_of_the_image(kfp: KfpServer, on_kubeflow: Run, tmp_path: Path) -> None:
    commit = "89abcdef" * 5
    on_kubeflow(
        "submit", MODEL, "--backend", "kubeflow", expect=0, OSTINATO_CODE_VERSION=commit,
        GIT_CEILING_DIRECTORIES=str(tmp_path.parent),
    )  # fmt: skip
    assert kfp.state.only_run()["runtime_config"]["parameters"]["code_version"] == commit


def test_data_on_a_volume_of_the_cluster_is_read_there_anew_and_need_not_be_here(
    kfp: KfpServer, on_kubeflow: Run
) -> None:
    lake = {"OSTINATO_KUBEFLOW__VOLUMES": '{"/lake-of-tests": "claim"}'}
    data = ("--data", "file:///lake-of-tests/bikes.parquet")
    on_kubeflow("submit", MODEL, "--backend", "kubeflow", *data, expect=0, **lake)
    given = kfp.state.only_run()["runtime_config"]["parameters"]
    assert (given["data_uri"], given["data_snapshot"]) == ("file:///lake-of-tests/bikes.parquet", "")
    (version,) = kfp.state.model_versions.values()
    spec = version["pipeline_spec"]["pipeline_spec"]
    tasks = spec["root"]["dag"]["tasks"]
    assert not tasks["preprocess"].get("cachingOptions", {}).get("enableCache"), "nobody here knows what the data is"
    assert tasks["train"]["cachingOptions"]["enableCache"]
    refused = on_kubeflow("submit", MODEL, "--backend", "kubeflow", *data, expect=2)
    assert "/lake-of-tests/bikes.parquet does not exist" in refused.err
