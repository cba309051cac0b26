"""What a real Kubeflow would receive, as golden files to be read: `pytest tests/kubeflow --update-golden`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness.contracts import CONTRACTS
from harness.kubeflow.contract import CONTRACT, PUBLISHED, Broken, Contract, trimmed
from harness.kubeflow.server import KfpServer
from kubeflow.conftest import connect

from pipelines.backends.remote import ScheduleEntry, Submission

GOLDEN = Path(__file__).parents[1] / "golden"
ALL = {
    "namespace": "forecasts",
    "pipeline_root": "s3://lake/kubeflow",
    "service_account": "ostinato-steps",
    "time_zone": "Europe/Berlin",
}
ENTRY = ScheduleEntry("demand-forecaster", "0 3 * * 1", "Europe/Berlin", "sha256:" + "a" * 64)


def requests_of(server: KfpServer) -> list[dict]:
    """What was sent; of an uploaded package the names of its steps, since it is a golden file itself, and no digest."""
    shown = []
    for one in server.requests:
        body = one["body"]
        if isinstance(body, str):
            package = next(iter(yaml.safe_load_all(body)))
            body = {"package": package["pipelineInfo"]["name"], "steps": sorted(package["root"]["dag"]["tasks"])}
        elif body and "display_name" in body:
            body = {**body, "display_name": re.sub(r"-20\d{6}-", "-DAY-", body["display_name"])}
        query = {name: re.sub("[0-9a-f]{16}$", "DIGEST", value) for name, value in one["query"].items()}
        shown.append({**one, "query": query, "body": body})
    return shown


def compare(name: str, server: KfpServer, request: pytest.FixtureRequest) -> None:
    text = json.dumps(requests_of(server), indent=2) + "\n"
    golden = GOLDEN / f"kubeflow-{name}.json"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_the_requests_of_a_submission_are_the_golden_ones(
    submission: Callable[..., Submission], request: pytest.FixtureRequest
) -> None:
    with KfpServer(multi_user=True) as server:
        engine = connect(server, **ALL)
        engine.submit(submission())
        engine.cancel("demand-forecaster-4f2a")
        server.state.walk({"preprocess": "FAILED"}, "CANCELED")
        engine.resume("demand-forecaster-4f2a")
        compare("submit", server, request)


def test_the_requests_of_a_schedule_are_the_golden_ones(
    submission: Callable[..., Submission], request: pytest.FixtureRequest
) -> None:
    with KfpServer(multi_user=True) as server:
        engine = connect(server, **ALL)
        engine.delete_schedule(engine.put_schedule(ENTRY, submission()))
        compare("schedule", server, request)


def test_the_contract_is_what_kubeflow_publishes(request: pytest.FixtureRequest) -> None:
    published = CONTRACTS / PUBLISHED
    if not published.is_file():
        pytest.skip(f"the swagger is not at {published}; set OSTINATO_CONTRACTS to the folder that has it")
    text = json.dumps(trimmed(json.loads(published.read_text())), indent=1, sort_keys=True) + "\n"
    if request.config.getoption("--update-golden"):
        CONTRACT.write_text(text)
    assert text == CONTRACT.read_text()


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"display_name": "a", "name": "b"}, "has no field name"),
        ({"display_name": 3}, "must be a text"),
        ({"run_id": "mine"}, "filled by the server alone"),
        ({"created_at": "2026-03-02T03:00:00Z"}, "filled by the server alone"),
        ({"runtime_config": {"parameters": []}}, "must be an object"),
        ({"pipeline_version_reference": {"version": "1"}}, "has no field version"),
        (None, "needs a body"),
    ],
)
def test_the_contract_refuses_what_is_not_published(body: dict | None, wrong: str) -> None:
    contract = Contract()
    operation, _ = contract.operation("POST", "/apis/v2beta1/runs")
    with pytest.raises(Broken, match=wrong):
        contract.check_body(operation, body)


def test_the_contract_takes_an_int64_as_text_and_as_a_number_and_knows_enums_and_paths() -> None:
    contract = Contract()
    operation, _ = contract.operation("POST", "/apis/v2beta1/recurringruns")
    contract.check_body(operation, {"max_concurrency": "1", "mode": "ENABLE"})
    contract.check_body(operation, {"max_concurrency": 1})
    for body in ({"max_concurrency": "one"}, {"mode": "ON"}, {"no_catchup": "true"}):
        with pytest.raises(Broken):
            contract.check_body(operation, body)
    with pytest.raises(Broken, match="no query parameter colour"):
        contract.check_query(operation, {"colour": "red"})
    with pytest.raises(Broken, match="there is no PATCH"):
        contract.operation("PATCH", "/apis/v2beta1/runs")
