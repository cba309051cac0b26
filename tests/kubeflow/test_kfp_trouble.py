"""Bad, late, cut and empty answers of Kubeflow: one clear message each, and nothing is taken for what it is not."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault
from kubeflow.conftest import QUICK, connect

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.connection import KubeflowRetryPolicy
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import BackendSilent, Submission
from pipelines.waiting import Wait
from training.errors import InputError, OstinatoError

Make = Callable[..., Submission]
LOGIN = b"<!doctype html><html>log in</html>"


def said(text: str) -> bytes:
    return json.dumps({"code": 7, "message": text, "details": []}).encode()


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ({"status": 401, "body": said("no identity")}, InputError, r"know us \(401\).*kubeflow.auth.*no identity"),
        ({"status": 403, "body": said("denied")}, InputError, r"403.*kubeflow.namespace.*pipelines-edit.*denied"),
        ({"status": 404, "body": b"page not found"}, InputError, r"404.*kubeflow.endpoint"),
        ({"status": 400, "body": said("bad filter")}, InputError, r"refused \(400\).*bad filter"),
        ({"status": 500, "body": said("no database")}, BackendSilent, r"failed \(500\).*no database"),
        ({"status": 503, "body": LOGIN}, BackendSilent, r"failed \(503\).*a web page"),
        ({"status": 200, "body": LOGIN}, InputError, r"login or web page.*kubeflow.endpoint"),
        ({"status": 302, "headers": {"Location": "/login"}}, InputError, r"login or web page.*kubeflow.auth to"),
        ({"status": 200, "body": b"\x00\xff nothing"}, BackendSilent, r"no JSON"),
        ({"status": 200, "body": b"[]"}, BackendSilent, r"no JSON object"),
        ({"status": 502, "body": b"\xff\xfe"}, BackendSilent, r"failed \(502\)"),
        ({"cut": True}, BackendSilent, r"gave no whole answer"),
    ],
)
def test_a_bad_answer_is_one_clear_message_and_never_an_empty_list(
    kfp: KfpServer, engine: KubeflowClient, fault: dict, error: type[Exception], message: str
) -> None:
    kfp.faults.append(Fault("GET", "/experiments", times=99, **fault))
    with pytest.raises(error, match=message) as caught:
        engine.runs(datetime(2020, 1, 1, tzinfo=UTC))
    assert type(caught.value) is error
    assert kfp.seen == []


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 200, "body": b"?"}, {"cut": True}])
@pytest.mark.parametrize("ends", ["/healthz", "/experiments", "/pipelines", "/versions", "/runs"])
def test_a_question_is_asked_again_a_few_times(
    kfp: KfpServer, engine: KubeflowClient, submission: Make, ends: str, fault: dict
) -> None:
    engine.submit(submission("another-run"))  # runs are looked for where there is an experiment
    kfp.faults.append(Fault("GET", ends, times=QUICK.attempts - 1, **fault))
    assert connect(kfp).submit(submission()).new
    assert kfp.faults == []


def test_an_answer_that_does_not_come_is_not_waited_for_without_end(kfp: KfpServer) -> None:
    engine = connect(kfp, KubeflowRetryPolicy(connect_s=10, read_s=0.2, attempts=2, pause_s=0.01))
    kfp.faults.append(Fault("GET", "/healthz", late=True, times=2))
    with pytest.raises(OstinatoError, match=r"gave no whole answer while asking for its health: .*timed out"):
        engine.schedules()
    assert kfp.faults == []


def test_a_run_whose_start_was_not_answered_in_time_is_found(kfp: KfpServer, submission: Make) -> None:
    engine = connect(kfp, KubeflowRetryPolicy(connect_s=10, read_s=1, attempts=3, pause_s=0.01))
    kfp.faults.append(Fault("POST", "/runs", late=True, done=True))
    assert engine.submit(submission()).state == "pending"
    assert len(kfp.state.runs) == 1


def test_nobody_at_the_address_is_told_with_the_setting() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    engine = KubeflowClient(KubeflowSettings(endpoint=endpoint), QUICK)
    with pytest.raises(OstinatoError, match=r"Connection refused.*kubeflow.endpoint and the network") as caught:
        engine.schedules()
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": ""}, r"kubeflow.endpoint is ''; write the URL"),
        ({"endpoint": "kubeflow.example.org"}, r"kubeflow.endpoint is 'kubeflow.example.org'"),
        ({"endpoint": "https://me:secret@kubeflow.example.org"}, r"user or password"),
        ({"endpoint": "http://kubeflow.example.org", "auth": "token"}, r"plain HTTP"),
        (
            {"endpoint": "https://kubeflow.example.org", "ca_file": "/no/such.pem"},
            r"kubeflow.ca_file is '/no/such.pem'",
        ),
        ({"endpoint": "https://kubeflow.example.org", "auth": "iap"}, r"kubeflow.client_id is missing"),
        ({"endpoint": "https://kubeflow.example.org", "auth": "dex"}, r"set OSTINATO_KUBEFLOW_USER"),
    ],
)
def test_settings_that_can_not_be_right_are_refused_before_anything_is_sent(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        KubeflowClient(KubeflowSettings(**settings), QUICK)
    assert "secret@" not in str(caught.value)


def test_a_package_that_the_server_does_not_take_is_wrong_input(
    kfp: KfpServer, engine: KubeflowClient, submission: Make
) -> None:
    whole = submission()
    with pytest.raises(InputError, match=r"refused \(400\) starting the run .* not required by pipeline: colour"):
        engine.submit(submission(arguments={**whole.arguments, "colour": "red"}))
    assert kfp.state.runs == {}


def test_an_installation_for_many_users_needs_a_namespace(submission: Make) -> None:
    with KfpServer(multi_user=True) as server:
        with pytest.raises(InputError, match=r"for many users; set kubeflow.namespace"):
            connect(server).submit(submission())
        assert server.seen == []
        connect(server, namespace="forecasts").submit(submission())
        assert [one["namespace"] for one in server.state.experiments.values()] == ["forecasts"]


def test_where_an_installation_differs_is_told_and_does_not_stop_the_run(kfp: KfpServer, submission: Make) -> None:
    kfp.state.health = {"multi_user": False}
    engine = connect(kfp, namespace="forecasts")
    started = engine.submit(submission())
    assert started.new
    assert started.message == "; ".join(engine.differences)
    assert engine.differences == [
        "its API is older than 2.17: it does not tell where pipelines are stored",
        "it is for a single user, so kubeflow.namespace is not used",
    ]


def test_an_api_that_restarts_while_a_run_is_followed_does_not_end_the_wait(kfp: KfpServer, submission: Make) -> None:
    engine = connect(kfp)
    run = engine.submit(submission()).run
    kfp.state.pace = [({"preprocess": "RUNNING"}, "RUNNING", ""), ({"preprocess": "SUCCEEDED"}, "SUCCEEDED", "")]
    lines: list[str] = []

    def restart() -> None:
        if not lines:
            kfp.faults.append(Fault("GET", "/runs", status=503, times=QUICK.attempts))

    ended = Wait(restart, timedelta(hours=1), say=lines.append).follow(engine, run)
    assert ended.state == "succeeded"
    assert [line.partition(",")[0] for line in lines] == ["nobody answers"]
