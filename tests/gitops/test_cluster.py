"""What a cluster runs, held against git: an API server that replays what a real KServe was recorded to have."""

import copy
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.api_servers import RECORDED, ApiServerStandIn, recorded
from harness.registered import Place

from delivery.kserve.api_server import ApiServer
from delivery.kserve.cluster import FieldDifference, differences
from delivery.kserve.health import health_of
from delivery.releases.cluster_status import ClusterStatus, cluster_status
from delivery.releases.environments import STAGING_PATCHES
from pipelines.wording_cluster import render_cluster_status
from training.errors import InputError, OstinatoError

NAME = "demand-forecaster"
STATES = sorted(path.stem.removeprefix("kserve-") for path in RECORDED.glob("kserve-*.yaml"))
OURS = [state for state in STATES if "ostinato.dev/model-version" in recorded(state)["metadata"].get("annotations", {})]
"""Recordings of what Ostinato rendered; the two others are not of models."""
SERVER_SIDE = ("creationTimestamp", "finalizers", "generation", "resourceVersion", "uid")
ADDED = ("modelFormat", "serving.kserve.io/stop")
"""Annotations that KServe's webhook and the person who stopped a service wrote."""


def rendered(state: str, **annotations: str) -> dict[str, Any]:
    """What git had: the recorded object without what the API server, the webhook and a person added."""
    service = copy.deepcopy(recorded(state))
    del service["status"]
    for key in SERVER_SIDE:
        service["metadata"].pop(key, None)
    for key in ADDED:
        service["metadata"]["annotations"].pop(key, None)
    service["metadata"]["annotations"] |= {f"ostinato.dev/{key}": value for key, value in annotations.items()}
    if service["kind"] == "InferenceService":
        assert service["spec"]["predictor"]["model"].pop("name") == ""
    return service


@pytest.mark.parametrize("state", OURS)
def test_what_kserve_fills_in_is_no_difference(state: str) -> None:
    expected = ["metadata.annotations.serving.kserve.io/stop"] if state in ("stopped", "llm-stopped") else []
    assert [entry.field for entry in differences(rendered(state), recorded(state))] == expected


def test_every_recording_is_looked_at() -> None:
    assert len(STATES) - len(OURS) == 2 and len(OURS) >= 40


def test_what_somebody_changed_added_or_took_away_is_named() -> None:
    git, cluster = rendered("canary-healthy"), recorded("canary-healthy")
    cluster["metadata"]["annotations"]["example.org/owner"] = "ann"
    cluster["metadata"]["labels"] = {"team": "fleet"}
    predictor = cluster["spec"]["predictor"]
    predictor["minReplicas"] = 9
    predictor["nodeSelector"] = {"disk": "fast"}
    predictor["model"]["name"] = "other"
    predictor["model"]["env"].append({"name": "DEBUG", "value": "1"})
    predictor["model"]["env"][0]["value"] = "sha256:5"
    del predictor["model"]["resources"]["limits"]["cpu"]
    cluster["spec"]["canary"][0]["trafficPercent"] = 50
    model = "spec.predictor.model"
    assert differences(git, cluster) == [
        FieldDifference("metadata.annotations.example.org/owner", None, "ann"),
        FieldDifference("metadata.labels.team", None, "fleet"),
        FieldDifference("spec.canary[0].trafficPercent", 10, 50),
        FieldDifference("spec.predictor.minReplicas", 4, 9),
        FieldDifference(f"{model}.env[DEBUG]", None, {"name": "DEBUG", "value": "1"}),
        FieldDifference(f"{model}.env[OSTINATO_MODEL_DIGEST].value", f"sha256:{'3' * 64}", "sha256:5"),
        FieldDifference(f"{model}.name", None, "other"),
        FieldDifference(f"{model}.resources.limits.cpu", "10m", None),
        FieldDifference("spec.predictor.nodeSelector", None, {"disk": "fast"}),
    ]


@pytest.fixture
def server() -> Iterator[ApiServerStandIn]:
    with ApiServerStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def kubeconfig(server: ApiServerStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = server.kubeconfig(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def commit(place: Place, files: dict[str, bytes]) -> None:
    """As a person with a working copy would."""
    with tempfile.TemporaryDirectory(dir=place.work) as folder:

        def git(*arguments: str) -> None:
            who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
            subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)

        git("clone", "--quiet", str(place.manifests), folder)
        for path, content in files.items():
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, path).write_bytes(content)
        git("add", "--all")
        git("commit", "--quiet", "-m", "Files")
        git("push", "--quiet", "origin", "HEAD:main")


def release_files(state: str, **annotations: str) -> dict[str, bytes]:
    """A model's folder with what git had for the recording."""
    service = rendered(state, **annotations)
    folder = f"models/{service['metadata']['name']}"
    kustomization = b"resources:\n  - inferenceservice.yaml\n"
    content = yaml.safe_dump(service).encode()
    return {f"{folder}/inferenceservice.yaml": content, f"{folder}/kustomization.yaml": kustomization}


def seen(place: Place, model: str | None = None, namespaces: tuple[str, ...] = ()) -> ClusterStatus:
    return cluster_status(place.remote, ApiServer(), namespaces, model)


@pytest.mark.parametrize("state", OURS)
def test_every_recorded_service_is_read_and_judged(
    state: str, place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    server.objects.append(recorded(state))
    commit(place, release_files(state))
    status = seen(place)
    (row,) = status.places
    assert row.cluster_version == row.git_version and row.note == ""
    assert (row.health, row.message) == astuple(health_of(recorded(state)))
    assert row.live == (row.health == "Healthy") and status.strays == ()
    told = [line for line in render_cluster_status(status).splitlines() if line.startswith(f"{row.model} in ")]
    why = row.message.splitlines()[0]
    assert any(why in line for line in told) != row.live  # why it does not serve yet, or not a word


def test_a_version_that_argo_cd_has_not_synced_is_not_live(
    place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    server.objects.append(recorded("healthy"))
    commit(place, release_files("healthy", **{"model-version": "4"}))
    (row,) = seen(place).places
    assert (row.git_version, row.cluster_version, row.health, row.live, row.differences) == (
        "4",
        "3",
        "Healthy",
        False,
        (),
    )
    server.objects.clear()
    (row,) = seen(place).places
    assert (row.cluster_version, row.health, row.live) == ("", "Missing", False)


def test_staging_is_the_release_with_one_replica_and_production_what_was_promoted(
    place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    released = release_files("canary-healthy")
    service = rendered("canary-healthy")
    del service["spec"]["canary"]
    base = f"resources:\n  - ../../../models/{NAME}\nnamespace: s08-staging\n"
    files = {
        **released,
        f"models/{NAME}/inferenceservice.yaml": yaml.safe_dump(service).encode(),
        f"environments/staging/{NAME}/kustomization.yaml": f"{base}{STAGING_PATCHES}".encode(),
        f"environments/production/{NAME}/inferenceservice.yaml": yaml.safe_dump(rendered("healthy")).encode(),
        f"environments/production/{NAME}/kustomization.yaml": b"resources: [inferenceservice.yaml]\nnamespace: s00\n",
        "argocd/kustomization.yaml": b"components: [environments]\n",
    }
    commit(place, files)
    staged = recorded("canary-healthy")
    del staged["spec"]["canary"]
    staged["metadata"]["namespace"] = "s08-staging"
    staged["spec"]["predictor"] |= {"minReplicas": 1, "maxReplicas": 1}
    server.objects += [recorded("healthy"), staged]
    rows = seen(place).places
    assert [(row.environment, row.namespace) for row in rows] == [("production", "s00"), ("staging", "s08-staging")]
    assert [row.differences for row in rows] == [(), ()] and all(row.live for row in rows)
    staged["spec"]["predictor"]["minReplicas"] = 4
    assert [entry.field for entry in seen(place).places[1].differences] == ["spec.predictor.minReplicas"]
    commit(place, {f"environments/staging/{NAME}/kustomization.yaml": base.encode()})
    assert "changed by hand" in seen(place).places[1].note


def test_what_has_no_folder_in_git_is_listed_with_what_to_type(
    place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    stray, mesh = recorded("healthy-first-version"), recorded("modelmesh-without-modelmesh")
    server.objects += [stray, mesh]
    strays = seen(place, namespaces=("r1", "s5x")).strays
    assert [(entry.name, entry.namespace, entry.version, entry.command) for entry in strays] == [
        (NAME, "r1", "3", f"ostinato retire {NAME}"),
        ("small-model", "s5x", "", "kubectl -n s5x delete inferenceservices.serving.kserve.io/small-model"),
    ]
    assert seen(place, "small-model", ("r1", "s5x")).strays == (strays[1],)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "401 Unauthorized for inferenceservices: log in again, as for kubectl"),
        (403, "you need the verb list on inferenceservices.serving.kserve.io in namespace models"),
        (404, "KServe is not installed there"),
    ],
)
def test_a_refusal_names_the_fix(
    status: int, words: str, place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    server.refuses = status
    with pytest.raises(OstinatoError, match=words):
        seen(place, namespaces=("models",))


def test_a_cluster_without_the_chart_for_language_models_is_fine(
    place: Place, server: ApiServerStandIn, kubeconfig: Path
) -> None:
    server.missing.add("llminferenceservices")
    server.objects.append(recorded("healthy"))
    commit(place, release_files("healthy"))
    assert seen(place).places[0].live


def test_without_a_kubeconfig_or_an_answer_the_fix_is_named(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match=r"no kubeconfig that can be used .* Set KUBECONFIG"):
        ApiServer()
    for broken in ("kind: [", "kind: Config\ncurrent-context: nowhere\n", ""):
        (tmp_path / "nothing").write_text(broken)
        with pytest.raises(InputError, match=r"no kubeconfig that can be used .* Set KUBECONFIG"):
            ApiServer()
    with ApiServerStandIn() as stand_in:
        monkeypatch.setenv("KUBECONFIG", str(stand_in.kubeconfig(tmp_path)))
    with pytest.raises(OstinatoError, match=r"the API server http://127.0.0.1:\d+ does not answer"):
        seen(place, namespaces=("models",))


def test_the_command_says_what_runs_and_exits_as_it_should(
    place: Place, server: ApiServerStandIn, kubeconfig: Path, ostinato: Any
) -> None:
    where = {"OSTINATO_MANIFESTS_REMOTE": place.remote, "OSTINATO_TRACKING_URI": place.tracking_uri}
    where["KUBECONFIG"] = str(kubeconfig)
    service = recorded("crash-loop-behind-a-serving-pod")
    service["spec"]["predictor"]["minReplicas"] = 2
    server.objects.append(service)
    commit(place, release_files("crash-loop-behind-a-serving-pod"))
    lines = ostinato("status", NAME, "--cluster", expect=0, **where).out.splitlines()
    where_it_is = f"{NAME} in t1"
    rolling_out = "The new version is rolling out, the one before serves."
    assert lines[1].split()[:5] == [NAME, "t1", "4", "4", "Progressing"]
    assert lines[-2:] == [
        f"{where_it_is} is not version 4 yet: {rolling_out}",
        f"{where_it_is}: spec.predictor.minReplicas is 2; git has 1",
    ]
    document = json.loads(ostinato("status", "--cluster", "--json", expect=0, **where).out)
    assert document["places"][0]["differences"] == [{"field": "spec.predictor.minReplicas", "git": 1, "cluster": 2}]
    commit(place, release_files("crash-loop-behind-a-serving-pod", **{"model-version": "5"}))
    text = ostinato("status", "--cluster", expect=0, **where).out
    assert f"{where_it_is} is not version 5 yet: the cluster has version 4; Argo CD has not synced commit" in text
    commit(place, release_files("canary-crash-loop"))
    server.objects = [recorded("canary-crash-loop")]
    assert (
        f"{NAME} in s08, with version 4 as its canary: The canary does not become ready; its pod's log says why. "
        f"The live version serves. End it with: ostinato canary {NAME} --abort"
    ) in ostinato("status", "--cluster", expect=0, **where).out
    server.refuses = 403
    assert "you need the verb list" in ostinato("status", "--cluster", expect=1, **where).err
    missing = {**where, "KUBECONFIG": str(kubeconfig) + "-gone"}
    assert "Set KUBECONFIG" in ostinato("status", "--cluster", expect=2, **missing).err
