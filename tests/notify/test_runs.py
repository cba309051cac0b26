"""Runs are told of, once each: those in front of one, and those of an engine that nobody waited for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.command_line import REACHABLE, Finished
from harness.kubeflow.server import KfpServer
from notify.receivers import Webhook

from delivery.registry.mlflow import mlflow_client
from delivery.registry.versions import RUN_TAG

Run = Callable[..., Finished]
MODEL = "demand-forecaster"
SPEC = "training/demand_forecaster/spec.yaml"
EARLY = ("--param", "as_of=2011-12-01")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


def heads(webhook: Webhook) -> list[str]:
    return [body["text"] for body in webhook.kept]


def test_a_release_and_a_refusal_are_told_and_a_run_with_nothing_new_is_not(
    workspace: Path, ostinato: Run, webhook: Webhook
) -> None:
    spec = workspace / SPEC
    text = spec.read_text()
    loose = text.replace("max_p99_ms: 1000", "max_p99_ms: 60000")
    spec.write_text(loose)
    told = {"OSTINATO_SLACK_WEBHOOK": webhook.url}
    ostinato("run", MODEL, *EARLY, expect=0, **told)
    ostinato("run", MODEL, *EARLY, expect=0, **told)
    assert heads(webhook) == [f"{MODEL} version 1 is released"]
    spec.write_text(loose.replace("min: 0.7}", "min: 0.9999}"))
    ostinato("run", MODEL, *EARLY, expect=3, **told)
    assert heads(webhook)[1:] == [f"Checks failed: {MODEL}"]
    assert "r2 at least 0.9999" in str(webhook.kept[1]["blocks"])


def test_a_release_that_nobody_waited_for_is_told_with_its_version(
    ostinato: Run, webhook: Webhook, tmp_path: Path
) -> None:
    with KfpServer() as kfp:
        settings = {
            **REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, "OSTINATO_SLACK_WEBHOOK": webhook.url
        }  # fmt: skip
        ostinato("submit", MODEL, "--backend", "kubeflow", expect=0, **settings)
        with kfp.lock:
            kfp.state.walk(dict.fromkeys(("evaluate", "register", "deploy"), "SUCCEEDED"), "SUCCEEDED")
        run = kfp.state.only_run()["display_name"]
        settings["OSTINATO_TRACKING_URI"] = f"sqlite:///{tmp_path / 'registry.db'}"
        client = mlflow_client(settings["OSTINATO_TRACKING_URI"])
        client.create_registered_model(MODEL)
        for number in (1, 2):
            client.create_model_version(MODEL, f"s3://models/{number}", tags={RUN_TAG: f"{run if number == 2 else ''}"})
        notified = ostinato("notify", "--backend", "kubeflow", "--since", "5000d", expect=0, **settings)
    assert heads(webhook) == [f"{MODEL} version 2 is released"]
    assert notified.out == f"{run}: {MODEL} version 2 is released\n"


def test_a_failed_step_is_told_and_a_dead_webhook_changes_nothing_of_the_run(
    workspace: Path, ostinato: Run, webhook: Webhook
) -> None:
    model = workspace / "training" / "demand_forecaster" / "model.py"
    model.write_text(model.read_text() + "\n\ndef train(*args, **kwargs):\n    raise RuntimeError('no luck')\n")
    failed = ostinato("run", MODEL, *EARLY, expect=1, OSTINATO_SLACK_WEBHOOK=webhook.url)
    assert heads(webhook) == [f"The run of {MODEL} failed"] and "no luck" in str(webhook.kept)
    again = ostinato("run", MODEL, *EARLY, expect=1, OSTINATO_SLACK_WEBHOOK=webhook.url.replace("s3cret", "wrong"))
    assert "somebody was not notified: the webhook of OSTINATO_SLACK_WEBHOOK answered 404" in again.err
    assert "no luck" in failed.err and "no luck" in again.err and "w3bh00k" not in again.err


def test_an_engines_runs_that_nobody_waited_for_are_told_once(workspace: Path, ostinato: Run, webhook: Webhook) -> None:
    with KfpServer() as kfp:
        settings = {
            **REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, "OSTINATO_SLACK_WEBHOOK": webhook.url
        }  # fmt: skip
        ostinato("submit", MODEL, "--backend", "kubeflow", expect=0, **settings)
        with kfp.lock:
            kfp.state.walk({"preprocess": "SUCCEEDED", "train": "FAILED"}, "FAILED", "MemoryError: no memory left")
        # The registry that notes who was told is on this machine here: SQLite.
        settings |= {"OSTINATO_TRACKING_URI": ""}
        since = ("notify", "--backend", "kubeflow", "--since", "5000d")
        webhook.answers = [(404, {})]
        assert ostinato(*since, expect=1, **settings).err.count("somebody was not notified") == 1
        first = ostinato(*since, expect=0, **settings)
        second = ostinato(*since, expect=0, **settings)
    assert heads(webhook) == [f"The run of {MODEL} failed"] and "no memory left" in str(webhook.kept)
    assert f"The run of {MODEL} failed" in first.out and second.out == "nothing new to tell\n"


@pytest.mark.parametrize(
    ("steps", "state", "error", "headline"),
    [
        ({"register": "FAILED"}, "FAILED", "training.errors.GateRefused: mae is worse", f"Checks failed: {MODEL}"),
        ({"train": "FAILED"}, "CANCELED", "", None),
    ],
)
def test_a_refusal_is_told_as_one_and_a_cancelled_run_not_at_all(
    steps: dict[str, str], state: str, error: str, headline: str | None, ostinato: Run, webhook: Webhook
) -> None:
    with KfpServer() as kfp:
        settings = {
            **REACHABLE, "OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, "OSTINATO_SLACK_WEBHOOK": webhook.url
        }  # fmt: skip
        ostinato("submit", MODEL, "--backend", "kubeflow", expect=0, **settings)
        with kfp.lock:
            kfp.state.walk({"preprocess": "SUCCEEDED", **steps}, state, error)
        settings |= {"OSTINATO_TRACKING_URI": ""}
        ostinato("notify", "--backend", "kubeflow", "--since", "5000d", expect=0, **settings)
    assert heads(webhook) == ([headline] if headline else [])
    assert "register: mae is worse" in str(webhook.kept) or not headline


@pytest.mark.parametrize(
    ("arguments", "settings", "what"),
    [
        (("--since", "2"), {"OSTINATO_SLACK_WEBHOOK": "https://x"}, "--since: '2' is not a duration"),
        ((), {}, "nobody would be told: set OSTINATO_SLACK_WEBHOOK, or notify.email_to"),
    ],
)
def test_a_question_that_can_not_be_meant_is_refused(
    arguments: tuple[str, ...], settings: dict[str, str], what: str, ostinato: Run
) -> None:
    with KfpServer() as kfp:
        settings = {"OSTINATO_KUBEFLOW__ENDPOINT": kfp.url, **settings}
        assert what in ostinato("notify", "--backend", "kubeflow", *arguments, expect=2, **settings).err
