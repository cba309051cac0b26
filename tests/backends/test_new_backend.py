"""A new backend is a row of the table: what takes `--backend`, and the settings, know it by that alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from harness.command_line import IMAGE, REACHABLE
from typer.testing import CliRunner

from pipelines.backends.remote import BackendClient, RemoteRun, ScheduleEntry, StepState, Submission
from pipelines.backends.row import Backend, BackendSettings, TrainingJob
from pipelines.backends.table import BACKENDS
from pipelines.cli import app
from training.spec import ModelSpec

MODEL = "demand-forecaster"


class ToySettings(BackendSettings):
    address: str = ""

    @property
    def is_set_up(self) -> bool:
        return bool(self.address)


class ToyClient:
    """Keeps what it is asked for; every run has succeeded at once."""

    name = "toy"

    def __init__(self) -> None:
        self.submissions: dict[str, Submission] = {}
        self.entries: list[ScheduleEntry] = []
        self.settings = ToySettings()

    def connect(self, settings: ToySettings) -> BackendClient:
        self.settings = settings
        return self

    def submit(self, submission: Submission) -> RemoteRun:
        new = submission.run not in self.submissions
        self.submissions[submission.run] = submission
        return replace(self.get(submission.run), new=new)

    def get(self, run: str) -> RemoteRun:
        steps = tuple(StepState(name, "succeeded", seconds=90.0) for name in ("preprocess", "train"))
        return RemoteRun(run, run, self.submissions[run].model, "succeeded", f"toy://{run}", steps)

    def cancel(self, run: str) -> None:
        del self.submissions[run]

    def resume(self, run: str) -> RemoteRun:
        return self.get(run)

    def runs(self, since: datetime) -> list[RemoteRun]:
        assert since.tzinfo is UTC
        return [self.get(run) for run in self.submissions]

    def schedules(self) -> list[ScheduleEntry]:
        return self.entries

    def put_schedule(self, entry: ScheduleEntry, submission: Submission) -> ScheduleEntry:
        assert submission.model == entry.model
        self.entries.append(entry)
        return entry

    def delete_schedule(self, entry: ScheduleEntry) -> bool:
        self.entries.remove(entry)
        return True


class ToyPrices:
    currency, region, run_fee, read = "EUR", "attic", 1.0, date.today()

    @property
    def notes(self) -> list[str]:
        return ["the toy is cheap"]

    def machine(self, spec: ModelSpec, step: str) -> tuple[str, float | None]:
        return f"brick-{step}", 4.0


def paint(pipeline: dict[str, Any], spec: ModelSpec, settings: ToySettings) -> dict[str, Any]:
    return {**pipeline, "toy": f"{spec.name} at {settings.address}"}


def job_text(job: TrainingJob) -> str:
    return f"train {job.spec.name}\n"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> ToyClient:
    client = ToyClient()
    row = Backend(
        name="toy",
        title="Toy",
        settings=ToySettings,
        client=client.connect,
        transform=paint,
        training_job=job_text,
        prices=lambda settings, file: ToyPrices(),
        secrets=("TOY_TOKEN",),
    )
    monkeypatch.setitem(BACKENDS, "toy", row)
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(workspace))
    for name, value in REACHABLE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OSTINATO_TOY__ADDRESS", "toy://shelf")
    return client


Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def test_it_is_submitted_to_and_followed(toy: ToyClient, run: Run) -> None:
    submitted = json.loads(run("submit", MODEL, "--backend", "toy", "--key", "k", "--json"))
    assert submitted["new"] and toy.settings.address == "toy://shelf"
    package = toy.submissions[submitted["run"]].package.read_text()
    assert IMAGE in package and f"toy: {MODEL} at toy://shelf" in package
    assert "succeeded" in run("wait", submitted["run"], "--backend", "toy")
    run("cancel", submitted["run"], "--backend", "toy")
    assert not toy.submissions


@pytest.mark.usefixtures("toy")
def test_packages_are_compiled_for_it(run: Run, tmp_path: Path) -> None:
    run("compile", MODEL, "--backend", "toy", "-o", str(tmp_path / "toy.yaml"))
    run("compile", MODEL, "-o", str(tmp_path / "local.yaml"))
    assert "toy://shelf" in (tmp_path / "toy.yaml").read_text()
    assert "toy://shelf" not in (tmp_path / "local.yaml").read_text()


@pytest.mark.usefixtures("toy")
def test_its_times_and_prices_are_estimated(run: Run) -> None:
    run("submit", MODEL, "--backend", "toy")
    estimate = json.loads(run("estimate", MODEL, "--backend", "toy", "--json"))
    assert (estimate["measured"], estimate["currency"], estimate["known_cost"]) == ("toy", "EUR", 1.2)
    assert estimate["steps"][0]["machine"] == "brick-preflight" and "the toy is cheap" in estimate["notes"]


def test_its_schedules_become_those_of_git(toy: ToyClient, run: Run, workspace: Path) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    spec.write_text(spec.read_text() + "\nschedule: {cron: '0 3 * * 1', time_zone: UTC}\n")
    assert run("schedule", "apply", "--backend", "toy").startswith("create")
    assert [entry.cron for entry in toy.entries] == ["0 3 * * 1"]
    assert run("schedule", "apply", "--backend", "toy").startswith("keep")


@pytest.mark.usefixtures("toy")
def test_its_settings_and_secrets_are_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_TOKEN", "hunter2")
    found = json.loads(run("config", "--set", "toy.address=toy://box", "--set", "events.backend=toy", "--json"))
    rows = {row["name"]: (row["value"], row["source"]) for row in found["settings"]}
    assert rows["toy.address"] == ("toy://box", "--set") and rows["events.backend"][0] == "toy"
    assert "TOY_TOKEN" in found["secrets"]
