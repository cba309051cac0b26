"""A rolling replacement under load loses no request, with what the rendered manifest says of a pod's end."""

import json
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from harness.candidates import model_spec
from harness.registered import served
from harness.roll_out import Balancer, Draining, Load, Pod, draining_of

from delivery.kserve.manifest import service_of
from delivery.kserve.render import render
from delivery.serving.clients.predict import ServedModel

NAME, PATH = "amount", "/v2/models/amount/infer"
REQUESTS = 5000


def rendered_draining() -> Draining:
    service = service_of(render(model_spec(), served("3"), "2").documents, "bike-demand")
    assert service
    return draining_of(service["spec"]["predictor"])


def replaced_under_load(folder: Path, rows: pd.DataFrame, draining: Draining, requests: int) -> tuple[Load, Pod, Pod]:
    """One pod takes the place of another while callers ask."""
    with ExitStack() as stack:
        old = Pod(folder, NAME)
        stack.callback(old.process.kill)
        balancer = Balancer(old.port)
        request = ServedModel(old.url, NAME).request(rows.head(1))
        load = Load(balancer, PATH, json.dumps(request).encode(), requests)
        with load.running():
            load.wait_for(requests // 10)
            new = Pod(folder, NAME)
            stack.callback(new.process.kill)
            balancer.add(new.port)
            balancer.remove_late(old.port)
            old.end(draining)
    return load, old, new


def test_a_rolling_replacement_loses_none_of_5000_requests(regressor: Path, test_rows: pd.DataFrame) -> None:
    load, old, new = replaced_under_load(regressor, test_rows, rendered_draining(), REQUESTS)
    assert load.lost() == 0
    assert load.answers.total() >= REQUESTS
    assert load.answers[old.port, 200] and load.answers[new.port, 200]


def test_without_the_wait_the_same_replacement_loses_requests(regressor: Path, test_rows: pd.DataFrame) -> None:
    """So the test above would notice."""
    at_once = Draining(0, rendered_draining().lives_s)
    load, _, _ = replaced_under_load(regressor, test_rows, at_once, 500)
    assert load.lost() > 0
