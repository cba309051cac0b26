"""What holds after any kill, race or bad weather, each as a function that fails with the reason.

docs/reference/guarantees.md says them in words. All of them are read from the stores themselves: the registry, the
model folders and the bare repository on this machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.candidates import bare_git

from delivery.connections import Connections
from delivery.documents.data_card import DATA_CARD_FILE
from delivery.documents.sample import SAMPLE_FILE
from delivery.kserve.manifest import LiveModel
from delivery.kserve.parse import parse
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.registry.versions import DIGEST_TAG, ModelVersion
from delivery.releases.live import live_manifests
from delivery.trust.statement import STATEMENT_FILE

EVIDENCE = {"verdict.json", "report.html", "evidently.html", SAMPLE_FILE, DATA_CARD_FILE, STATEMENT_FILE}


@dataclass(frozen=True)
class World:
    """A registry and a manifests repository, side by side."""

    tracking_uri: str
    remote: str
    manifests: Path
    """The bare repository itself, which a server may hand out as ``remote``."""

    @property
    def connections(self) -> Connections:
        return Connections(self.tracking_uri, self.remote)


def all_hold(world: World, released: Mapping[str, Sequence[str]]) -> None:
    """Every invariant. released: the versions of each model that went live, in order."""
    linear_history(world)
    for name, versions in released.items():
        one_version_per_digest(world, name)
        one_finished_run_per_version(world, name)
        no_leftovers(world, name)
        one_commit_per_release(world, name, versions)
        at_most_one_commit_and_branch_per_proposal(world, name)
    live_manifests_name_stored_models(world)
    aliases_follow_git(world)


def one_version_per_digest(world: World, name: str) -> None:
    digests = [one.digest for one in _versions(world, name)]
    assert all(digests), f"{name} has a version without a digest: {digests}"
    assert len(set(digests)) == len(digests), f"{name} has a digest twice: {digests}"


def one_finished_run_per_version(world: World, name: str) -> None:
    """The run has its evidence, both data sets and the version's digest; there is no other run."""
    client, experiment = _experiment(world, name)
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    versions = _versions(world, name)
    assert sorted(runs) == sorted(one.run_id for one in versions), f"runs and versions of {name} differ"
    for version in versions:
        run = runs[version.run_id]
        where = f"the run of version {version.version} of {name}"
        assert run.info.status == "FINISHED", f"{where} is {run.info.status}"
        assert run.data.tags[DIGEST_TAG] == version.digest, f"{where} is of another model"
        assert {"mae", "mae.low"} <= set(run.data.metrics) and "seed" in run.data.params, f"{where} is not described"
        contexts = sorted(tag.value for one in run.inputs.dataset_inputs for tag in one.tags if "context" in tag.key)
        assert contexts == ["testing", "training"], f"{where} has the data sets {contexts}"
        outputs = {f"models:/{one.model_id}" for one in run.outputs.model_outputs} if run.outputs else set()
        assert version.source in outputs, f"{where} says that it made {outputs}, not {version.source}"
        assert {file.path for file in client.list_artifacts(version.run_id)} == EVIDENCE, f"{where} lacks evidence"


def no_leftovers(world: World, name: str) -> None:
    """Every logged model belongs to a version, which has exactly the bytes that its digest says."""
    client, experiment = _experiment(world, name)
    versions = _versions(world, name)
    logged = {f"models:/{one.model_id}": one for one in client.search_logged_models([experiment])}
    assert set(logged) == {one.source for one in versions}, f"logged models and versions of {name} differ"
    for version in versions:
        became = json.loads(logged[version.source].tags.get("mlflow.modelVersions", "[]"))
        assert became == [{"name": name, "version": version.version}], f"{version.source} says that it became {became}"
        folder = _folder(registry(world.tracking_uri).storage_uri(name, version.version))
        assert model_digest(folder) == version.digest, f"version {version.version} of {name} has other bytes"


def one_commit_per_release(world: World, name: str, versions: Sequence[str]) -> None:
    """Exactly one commit brought each version in, in this order."""
    subjects = bare_git(world.manifests, "log", "--reverse", "--format=%s", "main", "--", f"models/{name}")
    found = [subject.rpartition(" v")[2] for subject in subjects.splitlines()]
    assert found == list(versions), f"{name} was released as {found}"


def linear_history(world: World) -> None:
    """One root, no merges, and every object is whole."""
    assert bare_git(world.manifests, "rev-list", "--merges", "main") == ""
    assert len(bare_git(world.manifests, "rev-list", "--max-parents=0", "main").splitlines()) == 1
    bare_git(world.manifests, "fsck", "--strict", "--no-dangling")


def live_manifests_name_stored_models(world: World) -> None:
    """What git says is live is a version of the registry, with the digest of the bytes at the storage URI."""
    for name, live in _live(world).items():
        version = registry(world.tracking_uri).version(live.registered_model, live.version)
        assert version and version.digest == live.digest, f"{name} is live with another digest"
        assert model_digest(_folder(live.storage_uri)) == live.digest, f"{name} is live with other bytes"


def aliases_follow_git(world: World) -> None:
    """`champion` and `previous` are what the live manifest says, and `candidate` exists."""
    for name, live in _live(world).items():
        aliases = registry(world.tracking_uri).aliases(live.registered_model)
        wanted = {"champion": live.version} | ({"previous": live.previous_version} if live.previous_version else {})
        known = {one.version for one in _versions(world, live.registered_model)}
        assert aliases.pop("candidate", "") in known, f"{name} has no candidate"
        assert aliases == wanted, f"the aliases of {name} are {aliases}, git says {wanted}"


def at_most_one_commit_and_branch_per_proposal(world: World, name: str) -> None:
    """A release branch is one commit on a commit of the live branch, and is of a version that exists."""
    branches = bare_git(world.manifests, "for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/release/{name}")
    known = {one.version for one in _versions(world, name)}
    for branch in branches.splitlines():
        ahead = bare_git(world.manifests, "rev-list", "--count", f"main..{branch}")
        assert int(ahead) <= 1, f"{branch} is {ahead} commits ahead"
        assert branch.removeprefix(f"release/{name}/v") in known, f"{branch} is of no version"


def _versions(world: World, name: str) -> list[ModelVersion]:
    found = registry(world.tracking_uri).versions(name)
    assert found, f"{name} has no versions"
    return found


def _experiment(world: World, name: str):
    client = mlflow_client(world.tracking_uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment, f"there is no experiment {name}"
    return client, experiment.experiment_id


def _live(world: World) -> dict[str, LiveModel]:
    found = live_manifests(str(world.manifests))
    return {name: parse(content, name, commit).served for name, (content, commit) in found.items()}


def _folder(storage_uri: str) -> Path:
    return Path(storage_uri.removeprefix("file://"))
