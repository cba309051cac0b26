"""`ostinato estimate`: past times and published prices, and what of them is not known."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.command_line import Finished
from harness.kubeflow.server import KfpServer

from pipelines.backends.vertex.prices import load_prices

Run = Callable[..., Finished]
MODEL = "demand-forecaster"
RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"


def estimate(run: Run, *more: str, **settings: str) -> dict[str, Any]:
    found = json.loads(run("estimate", MODEL, *more, "--json", expect=0, **settings).out)
    return {**found, "steps": {step["step"]: step for step in found["steps"]}}


def test_times_are_those_of_past_runs_that_no_cache_answered(workspace: Path, ostinato: Run) -> None:
    nothing = estimate(ostinato)
    assert nothing["seconds"] is None and "no time is known of preflight, preprocess, train" in nothing["notes"][0]
    for day in ("2011-12-01", "2012-02-01", "2011-12-01"):
        ostinato("run", MODEL, "--until", "preprocess", "--param", f"as_of={day}", expect=0)
    found = estimate(ostinato)
    step = found["steps"]["preprocess"]
    assert step["runs"] == 2, "the third run was answered by the cache"
    manifests = [json.loads(path.read_text()) for path in workspace.glob(".ostinato/runs/*/run.json")]
    ran = [one["steps"]["preprocess"] for one in manifests]
    assert (step["low"], step["high"]) == (
        min(one["seconds"] for one in ran if one["origin"] == "run"),
        max(one["seconds"] for one in ran if one["origin"] == "run"),
    )
    assert found["steps"]["train"]["seconds"] is None and found["seconds"] is None
    text = ostinato("estimate", MODEL, expect=0).out
    assert "not known" in text and "preprocess" in text


def test_times_of_an_engine_are_its_own(kfp: KfpServer, on_kubeflow: Run) -> None:
    on_kubeflow("submit", MODEL, "--backend", "kubeflow", expect=0)
    with kfp.lock:
        kfp.state.only_run()["created_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kfp.state.replay(json.loads((RECORDED / "kfp-run-succeeded-cached.json").read_text()))
    found = estimate(on_kubeflow, "--backend", "kubeflow")
    assert found["measured"] == "kubeflow"
    seconds = {name: step["seconds"] for name, step in found["steps"].items()}
    assert seconds == {
        "preflight": None, "preprocess": None, "train": None,
        "champion": 7, "evaluate": 30, "register": 15, "deploy": 14,
    }, "the cache answered for two steps"  # fmt: skip
    assert found["cost"] is None and any("Kubeflow publishes no prices" in note for note in found["notes"])


PRICES = """\
read: 2026-11-01
currency: USD
regions:
  us-central1:
    machines: {g2-standard-8: 1.5}
    families: {n1: {core: 0.03635265, gibibyte: 0.00487255}}
    accelerators: {NVIDIA_L4: 0.5}
    spot: {n1-highmem-8: 0.1}
"""
OWN_STEPS = """
steps:
  preprocess: {spot: true, machine_type: n1-highmem-8}
  evaluate: {machine_type: m9-odd-2}
"""


def test_a_cost_is_time_by_price_and_what_has_no_price_is_named(workspace: Path, ostinato: Run) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    gpu = "resources: {cpu: '8', memory: 16Gi, accelerator: {type: nvidia.com/gpu, vertex_type: NVIDIA_L4}}"
    text = spec.read_text().replace('resources: {cpu: "2", memory: 2Gi}', gpu)
    assert gpu in text
    spec.write_text(text + OWN_STEPS)
    (workspace / "prices.yaml").write_text(PRICES)
    ostinato("run", MODEL, "--until", "preprocess", "--param", "as_of=2011-12-01", expect=0)
    on_vertex = {"OSTINATO_VERTEX__REGION": "us-central1", "OSTINATO_PRICES": "prices.yaml"}
    found = estimate(ostinato, "--backend", "vertex", **on_vertex)
    steps = found["steps"]
    assert (steps["preprocess"]["machine"], steps["preprocess"]["hour"]) == ("n1-highmem-8", 0.1)
    assert steps["preprocess"]["cost"] == pytest.approx(steps["preprocess"]["seconds"] / 3600 * 0.1)
    assert (steps["train"]["machine"], steps["train"]["hour"]) == ("g2-standard-8", 2.0)
    assert steps["register"]["hour"] == pytest.approx(0.21849885, abs=1e-8)
    assert steps["evaluate"]["hour"] is None and any("m9-odd-2 (evaluate)" in note for note in found["notes"])
    assert found["cost"] is None
    assert found["known_cost"] == pytest.approx(0.03 + steps["preprocess"]["cost"]), "the fee of a run is published"
    elsewhere = estimate(ostinato, "--backend", "vertex", OSTINATO_VERTEX__REGION="europe-west4")
    assert all(step["hour"] is None for step in elsewhere["steps"].values())
    assert "no price is known in europe-west4" in " ".join(elsewhere["notes"])


def test_the_table_gives_the_price_that_google_lists_to_the_last_digit() -> None:
    prices = load_prices(None)
    assert prices.hour("us-central1", "n1-standard-4", "", 0, False) == pytest.approx(0.21849885, abs=1e-9)
    assert prices.hour("us-central1", "n1-standard-4", "", 0, True) is None, (
        "of spot machines nothing is published here"
    )
    assert prices.hour("us-central1", "n1-standard-4", "NVIDIA_TESLA_T4", 1, False) is None


def test_a_table_of_long_ago_is_said_to_be_one(workspace: Path, ostinato: Run) -> None:
    old = (date.today() - timedelta(days=400)).isoformat()
    (workspace / "prices.yaml").write_text(PRICES.replace("2026-11-01", old))
    found = estimate(ostinato, "--backend", "vertex", OSTINATO_PRICES="prices.yaml")
    assert any("more than a year ago" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (PRICES.replace("0.5", "-0.5"), "regions.us-central1.accelerators.NVIDIA_L4"),
        (PRICES.replace("currency", "curency"), "currency"),
        ("read: [", "is not YAML"),
        (None, "can't be read"),
    ],
)
def test_a_wrong_table_is_refused_by_file_and_field(
    text: str | None, what: str, workspace: Path, ostinato: Run
) -> None:
    if text is not None:
        (workspace / "prices.yaml").write_text(text)
    refused = ostinato("estimate", MODEL, "--backend", "vertex", expect=2, OSTINATO_PRICES="prices.yaml")
    assert "setting prices" in refused.err and what in refused.err
