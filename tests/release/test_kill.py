"""SIGKILL right after every effect of register, deploy and reconcile; the same command then finishes, exactly once."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from harness.candidates import bare_git, candidate, model_spec
from harness.image_registries import ImageRegistry
from harness.registered import Place
from harness.signers import key_pair

from components.register.steps import Candidate
from delivery.effects import CRASH_AT, EFFECTS, effect
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.releases.live import live
from delivery.trust.signing import SIGNATURE_FILE
from delivery.trust.statement import STATEMENT_FILE
from training.errors import InputError

FORK = multiprocessing.get_context("fork")
BOUND_S = 240.0
FORGES = ("pull request opened", "pull request updated", "older proposal superseded")
FORGES += ("rejection set", "rejection removed")
"""Effects at a forge; tests/forges/test_kill_proposals.py kills after them."""
IMAGES = ("image layer pushed", "image pushed")
"""Effects of a release that pushes an image; the others are reached by any release."""
PROMPTS = tuple(one for one in EFFECTS if one.startswith("prompt "))
"""Effects of a language model only; tests/release/test_prompts.py kills after them."""
PROMOTED = ("environment champion set",)
"""Of a model that was promoted only; tests/gitops/test_production.py kills after it."""
ANY = [one for one in EFFECTS if one not in (*IMAGES, *FORGES, *PROMPTS, *PROMOTED)]
FIRST_ONLY = ("store created", "experiment created", "registered model created")


@pytest.fixture(autouse=True)
def signing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, path in key_pair(tmp_path).items():
        monkeypatch.setenv(name, str(path))


@pytest.fixture
def fresh(place: Place, tracking_uri: str) -> Place:
    """Nothing is registered yet."""
    return replace(place, tracking_uri=tracking_uri, spec=model_spec("fresh"))


def kill_and_finish(crash_at: str, place: Place, weight: int) -> None:
    """Run until the effect kills it, then run again to the end."""
    kill(crash_at, place, weight)
    release_one(place, weight)


def kill(crash_at: str, place: Place, weight: int) -> None:
    victim = FORK.Process(target=release_one, args=(place, weight, crash_at))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"


def release_one(place: Place, weight: int, crash_at: str = "") -> None:
    """What the pipeline does with a candidate that passed; a process that is to be killed is one of its own."""
    if crash_at:
        os.environ[CRASH_AT] = crash_at
    place.run(weight, candidate_of(place, weight))


def candidate_of(place: Place, weight: int) -> Candidate:
    """The candidate with a weight, judged against the one before it."""
    folder = place.work / "candidate"
    shutil.rmtree(folder, ignore_errors=True)
    return candidate(folder, weight, str(weight - 1) if weight > 1 else "", place.spec.name)


def check_exactly_once(place: Place, weights: list[int]) -> None:
    name, uri = place.spec.name, place.tracking_uri
    """One version, run, stored folder and commit for each weight, in order; aliases as git says."""
    reader = registry(uri)
    versions = reader.versions(name)
    digests = [model_digest(candidate_of(place, weight).model) for weight in weights]
    assert [one.digest for one in versions] == digests
    for one in versions:
        kept = {file.path for file in mlflow_client(uri).list_artifacts(one.run_id)}
        assert {STATEMENT_FILE, SIGNATURE_FILE} <= kept
        folder = Path(reader.storage_uri(name, one.version).removeprefix("file://"))
        assert model_digest(folder) == one.digest
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_id for run in runs} == {one.run_id for one in versions}
    assert all(run.info.status == "FINISHED" and run.inputs and len(run.inputs.dataset_inputs) == 2 for run in runs)
    models = client.search_logged_models([experiment.experiment_id])
    assert {f"models:/{model.model_id}" for model in models} == {one.source for one in versions}
    made = {output.model_id: run.info.run_id for run in runs for output in run.outputs.model_outputs}
    assert made == {one.source.removeprefix("models:/"): one.run_id for one in versions}
    became = {one.source.removeprefix("models:/"): [{"name": name, "version": one.version}] for one in versions}
    assert {model.model_id: json.loads(model.tags["mlflow.modelVersions"]) for model in models} == became
    subjects = bare_git(place.manifests, "log", "--reverse", "--format=%s", "main", "--", f"models/{name}").splitlines()
    assert [subject.rpartition(" v")[2] for subject in subjects] == [one.version for one in versions]
    last = versions[-1].version
    expected = {"candidate": last, "champion": last}
    assert reader.aliases(name) == expected | ({"previous": versions[-2].version} if len(versions) > 1 else {})


def kill_one_of_two(crash_at: str, place: Place) -> None:
    """The second run is killed, unless it is an effect of a first run only."""
    weights = [1] if crash_at in FIRST_ONLY else [1, 2]
    if len(weights) > 1:
        release_one(place, 1)
    kill_and_finish(crash_at, place, weights[-1])
    check_exactly_once(place, weights)


@pytest.mark.parametrize("crash_at", ANY)
def test_a_kill_on_the_laptop_leaves_a_state_from_which_the_same_command_finishes(
    crash_at: str, fresh: Place, tmp_path: Path
) -> None:
    no_store = replace(fresh, tracking_uri=f"sqlite:///{tmp_path}/new/mlflow.db")
    kill_one_of_two(crash_at, no_store if crash_at == "store created" else fresh)


@pytest.mark.parametrize("crash_at", [one for one in ANY if one != "store created"])
def test_a_kill_beside_a_real_server_leaves_a_state_from_which_the_same_command_finishes(
    crash_at: str, place: Place, mlflow_server: str
) -> None:
    spec = model_spec("served-" + crash_at.replace(" ", "-"))
    kill_one_of_two(crash_at, replace(place, tracking_uri=mlflow_server, spec=spec))


@pytest.mark.parametrize("crash_at", [*IMAGES, "commit written", "commit pushed"])
def test_a_kill_beside_an_image_registry_leaves_one_image_and_one_commit_for_each_version(
    crash_at: str, fresh: Place, image_registry: ImageRegistry
) -> None:
    repository = image_registry.repository()
    imaged = replace(fresh, spec=model_spec("fresh", serving={"oci_repository": repository}))
    for weight in (1, 2):
        kill_and_finish(crash_at, imaged, weight)
        check_exactly_once(imaged, list(range(1, weight + 1)))
        now = live(imaged.remote, "fresh")
        assert now and now.storage_uri.removeprefix(f"{repository}@") in image_registry.images()
        assert len(image_registry.images()) == len(image_registry.tags()) == weight


def test_two_kills_in_a_row_change_nothing_about_that(fresh: Place) -> None:
    for crash_at in ("model file uploaded", "version created", "candidate set", "commit pushed"):
        kill(crash_at, fresh, 1)
    release_one(fresh, 1)
    check_exactly_once(fresh, [1])


def test_a_crash_point_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRASH_AT, "comit pushed")
    with pytest.raises(InputError, match="Did you mean 'commit pushed'"):
        effect("commit pushed")
