"""What the entry point takes, refuses and ignores, over real sockets."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from events.senders import DRIFT, Engine, Point, Start, drift, signature

from pipelines.events.app import BODY_LIMIT
from pipelines.events.meaning import concerns
from training.errors import InputError, OstinatoError

VERSION = {"name": "base-encoder", "version": "4", "source": "s3://x", "tags": {}}


def mlflow(
    point: Point, data: dict[str, Any], event: str = "model_version.created", delivery: str = "d1", ago: int = 0
) -> requests.Response:
    entity, action = event.split(".")
    body, stamp = json.dumps({"entity": entity, "action": action, "data": data}).encode(), str(int(time.time()) - ago)
    signed = signature("mlflow secret", f"{delivery}.{stamp}.".encode() + body)
    headers = {"X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": stamp, "X-MLflow-Signature": signed}
    return point.post("mlflow", body, headers)


def eventarc(point: Point, document: Any, kind: str = "google.cloud.storage.object.v1.finalized") -> requests.Response:
    headers = {
        "Authorization": f"Bearer {point.google.token()}",
        "ce-id": "1",
        "ce-type": kind,
        "ce-specversion": "1.0",
    }
    return point.post("eventarc", json.dumps(document).encode(), headers)


def test_a_new_object_trains_the_model_whose_data_it_is(point: Point) -> None:
    answer = point.pubsub()
    assert answer.status_code == 200
    (run,) = answer.json()["runs"]
    assert (run["model"], run["new"]) == ("demand", True)
    assert point.engine.runs[run["run"]] == ("demand", "object gs://data/bikes/2026.csv 7", "data")


def test_pubsub_and_eventarc_of_one_object_are_one_run(point: Point) -> None:
    first = point.pubsub().json()["runs"]
    again = eventarc(point, {"bucket": "data", "name": "bikes/2026.csv", "generation": "7"}).json()["runs"]
    assert [run["run"] for run in first] == [run["run"] for run in again]
    assert not again[0]["new"]


def test_an_object_that_is_written_again_is_new_data(point: Point) -> None:
    point.pubsub(generation="7")
    assert point.pubsub(generation="8").json()["runs"][0]["new"]
    assert len(point.engine.runs) == 2


def test_a_storm_of_equal_events_is_one_new_run(point: Point) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = [future.result().json()["runs"][0] for future in [pool.submit(point.pubsub) for _ in range(40)]]
    assert sum(answer["new"] for answer in answers) == 1
    assert len({answer["run"] for answer in answers}) == len(point.engine.runs) == 1


def test_another_instance_knows_a_replay(start: Start) -> None:
    engine = Engine()
    first, second = start(engine), start(engine)
    assert drift(first).json()["runs"][0]["new"]
    assert not drift(second).json()["runs"][0]["new"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"aud": "https://elsewhere.example.org"}, 401),
        ({"iss": "https://issuer.example.org"}, 401),
        ({"exp": 1_000_000_000}, 401),
        ({"email": "somebody@example.org"}, 403),
        ({"email": None}, 403),
        ({"email_verified": False}, 403),
        ({"email_verified": "true"}, 403),
    ],
)
def test_a_token_of_somebody_else_starts_nothing(point: Point, changed: dict[str, Any], status: int) -> None:
    assert point.pubsub(token=point.google.token(**changed)).status_code == status
    assert not point.engine.calls


def test_a_forged_token_starts_nothing(point: Point) -> None:
    good = point.google.token()
    head, claims, signed = good.split(".")
    tampered = base64.urlsafe_b64encode(base64.urlsafe_b64decode(claims + "==").replace(b"pubsub@", b"PUBSUB@"))
    forged = [
        point.google.token(key=rsa.generate_private_key(65537, 2048)),
        point.google.token(kid="unknown"),
        point.google.token(key="", algorithm="none"),
        point.google.token(key="x" * 32, algorithm="HS256"),
        f"{head}.{tampered.decode().rstrip('=')}.{signed}",
        "nonsense",
        "",
    ]
    assert [point.pubsub(token=token).status_code for token in forged] == [401] * len(forged)
    assert point.post("eventarc", b"{}").status_code == 401
    assert not point.engine.calls


def test_no_token_is_in_the_log_or_in_an_answer(point: Point) -> None:
    token = point.google.token(email="somebody@example.org")
    answer = point.pubsub(token=token)
    assert answer.status_code == 403
    assert token not in json.dumps(point.log) + answer.text
    assert point.log[0]["severity"] == "WARNING"


def test_unreadable_certificates_ask_for_another_try(point: Point) -> None:
    point.google.status = 500
    answer = point.pubsub()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_what_is_no_new_data_is_acknowledged_and_ignored(point: Point) -> None:
    token = {"Authorization": f"Bearer {point.google.token()}"}
    deleted = {"message": {"attributes": {"eventType": "OBJECT_DELETE"}}}
    nameless = {"message": {"attributes": {"eventType": "OBJECT_FINALIZE", "bucketId": "data"}}}
    answers = [
        point.pubsub("elsewhere/x.csv"),
        point.pubsub("runs/demand/data.csv"),
        point.post("pubsub", json.dumps(deleted).encode(), token),
        point.post("pubsub", json.dumps(nameless).encode(), token),
        eventarc(point, {}, "google.cloud.storage.object.v1.deleted"),
        mlflow(point, VERSION | {"name": "another"}),
        mlflow(point, VERSION | {"tags": {"ostinato.model_digest": "sha256:1"}}),
        mlflow(point, {"name": "base-encoder", "alias": "candidate", "version": "1"}, "model_version_alias.created"),
    ]
    assert [(answer.status_code, list(answer.json())) for answer in answers] == [(200, ["ignored"])] * len(answers)
    assert not point.engine.calls


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"message": 1}', b'{"message": {"attributes": []}}'])
def test_a_body_that_is_no_envelope_is_refused(point: Point, body: bytes) -> None:
    answer = point.post("pubsub", body, {"Authorization": f"Bearer {point.google.token()}"})
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("name", ["bucket", "name", "generation"])
def test_a_cloud_event_without_a_part_of_the_object_is_refused(point: Point, name: str) -> None:
    document = {"bucket": "data", "name": "bikes/a.csv", "generation": "1"}
    answer = eventarc(point, {**document, name: None})
    assert answer.status_code == 400
    assert name in answer.json()["error"]


def test_a_new_version_of_a_base_model_trains_what_starts_from_it_once(point: Point) -> None:
    first = mlflow(point, VERSION, delivery="d1").json()["runs"]
    again = mlflow(point, VERSION, delivery="d2").json()["runs"]
    assert [run["model"] for run in first] == ["churn"]
    assert [run["new"] for run in first + again] == [True, False]


def test_a_request_with_another_signature_or_time_starts_nothing(point: Point) -> None:
    answers = [
        drift(point, secret="another"),
        drift(point, ago=400),
        drift(point, ago=-400),
        point.post("drift", DRIFT),
        mlflow(point, VERSION, ago=400),
        point.post("mlflow", b"{}", {"X-MLflow-Signature": "v1,\u00e9"}),
    ]
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert not point.engine.calls


def test_a_drift_of_an_unknown_model_is_not_found(point: Point) -> None:
    assert drift(point, DRIFT.replace(b"demand", b"nobody")).status_code == 404
    assert drift(point, DRIFT.replace(b'"drift"', b'"other"')).status_code == 400


def test_a_body_without_end_is_cut_off(point: Point) -> None:
    assert point.post("drift", b"x" * (BODY_LIMIT + 1)).status_code == 413


def test_an_engine_that_is_down_asks_for_another_try_and_then_gets_the_run(point: Point) -> None:
    point.engine.failure = OstinatoError("connection refused by https://engine")
    down = drift(point)
    point.engine.failure = None
    assert (down.status_code, drift(point).json()["runs"][0]["new"]) == (503, True)
    assert "connection refused" not in down.text
    assert "connection refused" in point.log[0]["log"]


def test_wrong_settings_are_told_to_the_log_and_tried_again(point: Point) -> None:
    point.engine.failure = InputError("vertex.project is missing")
    assert drift(point).status_code == 500
    assert point.log[0]["severity"] == "ERROR"


def test_health_is_answered_and_other_addresses_are_not(point: Point) -> None:
    for path, status in [("/healthz", 200), ("/health", 200), ("/events/other", 404), ("/events/drift", 405)]:
        assert requests.get(point.url + path, timeout=20).status_code == status


@pytest.mark.parametrize(
    ("source", "uri", "is_data"),
    [
        ("gs://b/a.csv", "gs://b/a.csv", True),
        ("gs://b/a.csv", "gs://b/a.csv2", False),
        ("gs://b/in/*.csv", "gs://b/in/1.csv", True),
        ("gs://b/in/*.csv", "gs://b/in/deep/1.csv", False),
        ("gs://b/in/**/*.csv", "gs://b/in/deep/er/1.csv", True),
        ("gs://b/in/**/*.csv", "gs://b/in/1.csv", True),
        ("gs://b/in/[!x]?.csv", "gs://b/in/a1.csv", True),
        ("gs://b/in", "gs://b/in/deep/1.parquet", True),
        ("gs://b/in/", "gs://b/in/1.csv", True),
        ("gs://b/in", "gs://b/in/_temporary/1.csv", False),
        ("gs://b/in", "gs://b/in/_SUCCESS", False),
        ("gs://b/in", "gs://b/inner/1.csv", False),
        ("s3://b/in", "gs://b/in/1.csv", False),
        ("in.csv", "gs://b/in.csv", False),
    ],
)
def test_an_object_concerns_the_source_that_reads_it(source: str, uri: str, is_data: bool) -> None:
    assert concerns(source, uri) is is_data
