"""Register makes one version for each model digest, with all its evidence, and refuses what the gate refused."""

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, candidate, judge, model_spec
from harness.registered import Place
from harness.verdicts import check, data_card, digest, verdict

from components.deploy.steps import deploy
from components.register.model_card import LONGEST, model_card
from components.register.steps import Candidate, register
from delivery.documents.data_card import DataCard
from delivery.documents.verdict import Verdict
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.trust.statement import payload_digest, read_envelope
from training.errors import GateRefused, InputError, OstinatoError

NAME = "bike-demand"
SPEC = model_spec().canonical_json()
FORK = multiprocessing.get_context("fork")
BOUND_S = 240.0


@pytest.fixture
def files(tmp_path: Path) -> Candidate:
    return candidate(tmp_path / "candidate", 3)


@pytest.fixture(params=["sqlite", "server"])
def registered(request: pytest.FixtureRequest, place: Place, files: Candidate) -> tuple[str, Candidate]:
    """A tracking URI where the candidate is registered, and the candidate."""
    if request.param == "sqlite":
        return place.tracking_uri, files
    url = request.getfixturevalue("mlflow_server")
    register(SPEC, url, "c0de", "run-3", files)
    return url, files


def test_a_version_carries_its_evidence_from_the_start(registered: tuple[str, Candidate]) -> None:
    uri, files = registered
    client = mlflow_client(uri)
    version = client.get_model_version_by_alias(NAME, "candidate")
    judged = Verdict.read(files.verdict)
    stated = client.download_artifacts(version.run_id or "", "release.intoto.json")
    payload, _ = read_envelope(Path(stated).read_bytes())
    assert dict(version.tags) == {
        "ostinato.statement": payload_digest(payload),
        "ostinato.model_digest": model_digest(files.model),
        "ostinato.data_fingerprint": judged.data_fingerprint,
        "ostinato.verdict": "pass",
        "ostinato.verdict_digest": judged.digest(),
        "ostinato.code_version": "c0de",
        "ostinato.run": "run-3",
        "ostinato.spec_digest": judged.spec_digest,
    }
    assert (version.source or "").startswith("models:/m-")
    assert "# bike-demand" in (version.description or "") and "69.9 [69, 71]" in (version.description or "")


def test_the_stored_folder_is_the_candidate_byte_for_byte(registered: tuple[str, Candidate]) -> None:
    uri, files = registered
    reader = registry(uri)
    stored = reader.storage_uri(NAME, reader.aliases(NAME)["candidate"])
    assert model_digest(Path(stored.removeprefix("file://"))) == model_digest(files.model)


def test_the_run_has_parameters_metrics_lineage_and_evidence(registered: tuple[str, Candidate]) -> None:
    uri, files = registered
    client = mlflow_client(uri)
    version = client.get_model_version_by_alias(NAME, "candidate")
    run = client.get_run(version.run_id or "")
    assert run.info.status == "FINISHED" and run.inputs and run.outputs
    assert run.data.params == {"task": "regression", "seed": "0", "depth": "3"}
    assert run.data.metrics == {"mae": 69.9, "mae.low": 69.0, "mae.high": 71.0, "baseline.mae": 107.4}
    inputs = {
        next(tag.value for tag in one.tags if tag.key == "mlflow.data.context"): one.dataset
        for one in run.inputs.dataset_inputs
    }
    assert inputs.keys() == {"training", "testing"}
    assert {one.digest for one in inputs.values()} == {digest("rows").removeprefix("sha256:")[:36]}
    assert {json.loads(one.source)["url"] for one in inputs.values()} == {"https://example.org/bikes.csv"}
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert names == {"verdict.json", "report.html", "evidently.html", "sample.json", "data.json", "release.intoto.json"}
    local = client.download_artifacts(run.info.run_id, "verdict.json")
    assert Path(local).read_bytes() == files.verdict.read_bytes()
    assert [one.model_id for one in run.outputs.model_outputs] == [(version.source or "").removeprefix("models:/")]


def test_mlflow_itself_finds_the_model_of_a_version(place: Place) -> None:
    from mlflow.artifacts import download_artifacts

    mlflow_client(place.tracking_uri)
    folder = download_artifacts(f"models:/{NAME}/3")
    assert (Path(folder) / "MLmodel").is_file()


def test_artifacts_of_a_local_store_lie_beside_it(tracking_uri: str, files: Candidate) -> None:
    register(SPEC, tracking_uri, "c0de", "run-3", files)
    home = Path(tracking_uri.removeprefix("sqlite:///")).parent
    stored = registry(tracking_uri).storage_uri(NAME, "1")
    assert stored.startswith((home / "artifacts" / NAME).as_uri() + "/")


def test_a_store_whose_artifacts_can_not_be_written_is_named_and_no_version_is_made(
    tracking_uri: str, files: Candidate
) -> None:
    Path(tracking_uri.removeprefix("sqlite:///")).with_name("artifacts").write_text("in the way")
    with pytest.raises(OstinatoError, match=r"model registry sqlite:.* can't be used.*free space of its folder"):
        register(SPEC, tracking_uri, "c0de", "run-3", files)
    assert registry(tracking_uri).versions(NAME) == []


def test_a_store_that_can_not_be_made_is_named(tmp_path: Path, files: Candidate) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OstinatoError, match=r"model registry sqlite:.* can't be used"):
        register(SPEC, f"sqlite:///{tmp_path}/file/mlflow.db", "c0de", "run-3", files)


def test_a_first_use_makes_the_store(tmp_path: Path, files: Candidate) -> None:
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    assert register(SPEC, uri, "c0de", "run-3", files) == "1"
    assert sorted(path.name for path in (tmp_path / "fresh").iterdir()) == ["artifacts", "mlflow.db"]


def test_the_same_model_again_writes_nothing(registered: tuple[str, Candidate], tmp_path: Path) -> None:
    uri, _ = registered
    before = registry(uri).versions(NAME)
    again = candidate(tmp_path / "again", 3)
    judge(again, 3, rows=101)
    version = register(SPEC, uri, "newer", "run-4", again)
    assert registry(uri).versions(NAME) == before
    assert registry(uri).aliases(NAME)["candidate"] == version
    assert registry(uri).version(NAME, version) in before


def test_an_older_model_that_passes_again_is_the_candidate_again(place: Place, tmp_path: Path) -> None:
    assert register(SPEC, place.tracking_uri, "c", "r", candidate(tmp_path / "old", 1)) == "1"
    assert registry(place.tracking_uri).aliases(NAME) == {"candidate": "1"}


def test_a_rejected_candidate_is_refused_with_its_reasons_and_nothing_changes(place: Place, tmp_path: Path) -> None:
    failed = check(status="failed", reason="mae is 75.9, at most 70 is allowed")
    files = candidate(tmp_path / "bad", 9, checks=(failed,))
    before = registry(place.tracking_uri).versions(NAME)
    for step in (
        lambda: register(SPEC, place.tracking_uri, "c", "r", files),
        lambda: deploy(SPEC, place.connections, "3", "direct", "c", "r", files.verdict),
    ):
        with pytest.raises(GateRefused, match=r"mae: mae is 75.9, at most 70 is allowed") as caught:
            step()
        assert caught.value.exit_code == 3
    assert registry(place.tracking_uri).versions(NAME) == before
    assert registry(place.tracking_uri).aliases(NAME) == {"candidate": "3"}
    assert place.commits() == 1


def test_a_verdict_on_another_model_registers_and_releases_nothing(
    place: Place, files: Candidate, tmp_path: Path
) -> None:
    other = candidate(tmp_path / "other", 4)
    shutil.copy(other.verdict, files.verdict)
    with pytest.raises(OstinatoError, match=r"the verdict is on sha256:.*run the pipeline again from evaluate"):
        register(SPEC, place.tracking_uri, "c", "r", files)
    with pytest.raises(OstinatoError, match=r"version 3 of bike-demand has model digest .* the verdict is on sha256:"):
        deploy(SPEC, place.connections, "3", "direct", "c", "r", files.verdict)
    assert place.commits() == 1


def test_a_release_mode_that_does_not_exist_is_refused(place: Place, files: Candidate) -> None:
    with pytest.raises(InputError, match="release is 'yolo'; give direct or pull-request"):
        deploy(SPEC, place.connections, "3", "yolo", "c", "r", files.verdict)


def test_deploy_commits_once_and_the_aliases_follow(place: Place, tmp_path: Path) -> None:
    first, second = candidate(tmp_path / "1", 1), candidate(tmp_path / "3", 3, champion="1")
    deploy(SPEC, place.connections, "1", "direct", "c", "run-1", first.verdict)
    commit = deploy(SPEC, place.connections, "3", "direct", "c", "run-3", second.verdict).commit
    again = deploy(SPEC, place.connections, "3", "direct", "new", "run-4", second.verdict).commit
    assert commit == again == bare_git(place.manifests, "rev-parse", "main")
    assert registry(place.tracking_uri).aliases(NAME) == {"candidate": "3", "champion": "3", "previous": "1"}
    assert "Ostinato-Run: run-3\nOstinato-Code: c" in bare_git(place.manifests, "log", "-1", "--format=%B", "main")


def test_deploy_by_pull_request_leaves_what_is_live_and_the_aliases_alone(place: Place, files: Candidate) -> None:
    deploy(SPEC, place.connections, "3", "pull-request", "c", "run-3", files.verdict)
    assert registry(place.tracking_uri).aliases(NAME) == {"candidate": "3"}
    assert place.commits() == 1
    assert bare_git(place.manifests, "rev-parse", "--verify", "release/bike-demand/v3")


def test_a_copy_that_an_alias_names_is_not_deleted(place: Place, files: Candidate) -> None:
    for _ in range(2):
        place.register_copy("3")
    mlflow_client(place.tracking_uri).set_registered_model_alias(NAME, "pinned", "4")
    assert register(SPEC, place.tracking_uri, "c", "r", files) == "3"
    assert [one.version for one in registry(place.tracking_uri).versions(NAME)] == ["1", "2", "3", "4"]


def test_an_experiment_that_was_deleted_is_named_with_the_way_back(place: Place, tmp_path: Path) -> None:
    client = mlflow_client(place.tracking_uri)
    found = client.get_experiment_by_name(NAME)
    assert found
    client.delete_experiment(found.experiment_id)
    with pytest.raises(OstinatoError, match=r"experiment 'bike-demand' .* was deleted; restore it"):
        register(SPEC, place.tracking_uri, "c", "r", candidate(tmp_path / "new", 8))


@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_racing_registers_of_one_model_end_with_one_version_one_run_and_one_folder(
    store: str, request: pytest.FixtureRequest, tracking_uri: str, tmp_path: Path
) -> None:
    uri = tracking_uri if store == "sqlite" else request.getfixturevalue("mlflow_server")
    name = f"race-{store}"
    spec = model_spec(name).canonical_json()
    files = candidate(tmp_path / "raced", 40, model=name)
    results = FORK.Queue()
    workers = [FORK.Process(target=_race, args=(spec, uri, files, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BOUND_S)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert {results.get(timeout=BOUND_S) for _ in workers} == {"1"}
    assert counts(uri, name) == (1, 1, 1)
    assert registry(uri).aliases(name) == {"candidate": "1"}
    stored = Path(registry(uri).storage_uri(name, "1").removeprefix("file://"))
    assert model_digest(stored) == model_digest(files.model)


def _race(spec: str, uri: str, files: Candidate, results: Any) -> None:
    results.put(register(spec, uri, "c", "run", files))


def counts(uri: str, name: str) -> tuple[int, int, int]:
    """How many versions, runs and logged models a registered model has."""
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    runs = client.search_runs([experiment.experiment_id])
    models = client.search_logged_models([experiment.experiment_id])
    return len(registry(uri).versions(name)), len(runs), len(models)


def test_a_model_card_says_who_what_and_how_well(files: Candidate) -> None:
    card = model_card(model_spec(), Verdict.read(files.verdict), DataCard.read(files.data / "data.json"))
    for words in (
        "Bikes rented in an hour",
        "Owner: fleet@example.org",
        "900 rows to train and 100 to test",
        "| seasonal naive | 107.4 |",
        "## Checks: pass",
        "Refused rows: 3 (temp: not a number 3)",
        "Predicts `count` from `temp`",
    ):
        assert words in card


def test_a_long_model_card_is_shortened_to_what_the_registry_keeps_and_says_so() -> None:
    many = verdict(checks=tuple(check(f"check {i}", reason="long " * 20) for i in range(99)))
    card = model_card(model_spec(), many, data_card())
    assert len(card) <= LONGEST
    assert card.endswith("the whole evidence is in verdict.json and report.html of the run.\n")
