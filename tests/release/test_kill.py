"""SIGKILL right after every effect of register, deploy and reconcile; the same command then finishes, exactly once."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, candidate, model_spec
from harness.image_registries import ImageRegistry
from harness.registered import Place
from harness.signers import key_pair

from components.deploy.steps import deploy
from components.register.steps import register
from delivery.connections import Connections
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


def release_one(name: str, uri: str, remote: str, folder: Path, weight: int, **serving: str) -> None:
    """What the pipeline does after the gate: register, then deploy."""
    spec = model_spec(name, serving=serving).canonical_json()
    files = candidate_of(name, folder, weight)
    version = register(spec, uri, "c0de", f"run-{weight}", files)
    deploy(spec, Connections(uri, remote), version, "direct", "c0de", f"run-{weight}", files.verdict)


def candidate_of(name: str, folder: Path, weight: int) -> Any:
    """The candidate with a weight, judged against the one before it."""
    shutil.rmtree(folder, ignore_errors=True)
    return candidate(folder, weight, model=name, champion=str(weight - 1) if weight > 1 else "")


def _killed(crash_at: str, *arguments: Any, **serving: str) -> None:
    os.environ[CRASH_AT] = crash_at
    release_one(*arguments, **serving)


def kill_and_finish(crash_at: str, name: str, uri: str, place: Place, weight: int, **serving: str) -> None:
    """Run until the effect kills it, then run again to the end."""
    arguments = (name, uri, place.remote, place.work / "candidate", weight)
    victim = FORK.Process(target=_killed, args=(crash_at, *arguments), kwargs=serving)
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"
    release_one(*arguments, **serving)


def check_exactly_once(name: str, uri: str, place: Place, weights: list[int]) -> None:
    """One version, run, stored folder and commit for each weight, in order; aliases as git says."""
    reader = registry(uri)
    versions = reader.versions(name)
    digests = [model_digest(candidate_of(name, place.work / "candidate", weight).model) for weight in weights]
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


@pytest.mark.parametrize("crash_at", ANY)
def test_a_kill_on_the_laptop_leaves_a_state_from_which_the_same_command_finishes(
    crash_at: str, place: Place, tracking_uri: str, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db" if crash_at == "store created" else tracking_uri
    if crash_at in FIRST_ONLY:
        kill_and_finish(crash_at, "fresh", uri, place, 1)
        check_exactly_once("fresh", uri, place, [1])
    else:
        release_one("fresh", uri, place.remote, place.work / "candidate", 1)
        kill_and_finish(crash_at, "fresh", uri, place, 2)
        check_exactly_once("fresh", uri, place, [1, 2])


@pytest.mark.parametrize("crash_at", [one for one in ANY if one != "store created"])
def test_a_kill_beside_a_real_server_leaves_a_state_from_which_the_same_command_finishes(
    crash_at: str, place: Place, mlflow_server: str
) -> None:
    name = "served-" + crash_at.replace(" ", "-")
    if crash_at in FIRST_ONLY:
        kill_and_finish(crash_at, name, mlflow_server, place, 1)
        check_exactly_once(name, mlflow_server, place, [1])
    else:
        release_one(name, mlflow_server, place.remote, place.work / "candidate", 1)
        kill_and_finish(crash_at, name, mlflow_server, place, 2)
        check_exactly_once(name, mlflow_server, place, [1, 2])


@pytest.mark.parametrize("crash_at", [*IMAGES, "commit written", "commit pushed"])
def test_a_kill_beside_an_image_registry_leaves_one_image_and_one_commit_for_each_version(
    crash_at: str, place: Place, tracking_uri: str, image_registry: ImageRegistry
) -> None:
    repository = image_registry.repository()
    for weight in (1, 2):
        kill_and_finish(crash_at, "fresh", tracking_uri, place, weight, oci_repository=repository)
        check_exactly_once("fresh", tracking_uri, place, list(range(1, weight + 1)))
        now = live(place.remote, "fresh")
        assert now and now.storage_uri.removeprefix(f"{repository}@") in image_registry.images()
        assert len(image_registry.images()) == len(image_registry.tags()) == weight


def test_two_kills_in_a_row_change_nothing_about_that(place: Place, tracking_uri: str) -> None:
    arguments = ("fresh", tracking_uri, place.remote, place.work / "candidate", 1)
    for crash_at in ("model file uploaded", "version created", "candidate set", "commit pushed"):
        victim = FORK.Process(target=_killed, args=(crash_at, *arguments))
        victim.start()
        victim.join(BOUND_S)
        assert victim.exitcode == -signal.SIGKILL
    release_one(*arguments)
    check_exactly_once("fresh", tracking_uri, place, [1])


def test_a_crash_point_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRASH_AT, "comit pushed")
    with pytest.raises(InputError, match="Did you mean 'commit pushed'"):
        effect("commit pushed")
