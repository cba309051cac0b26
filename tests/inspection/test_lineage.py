"""From an engine's UI to the rows, the version in the registry and the commit; no secret on the way."""

import json
from pathlib import Path

from harness.candidates import bare_git, candidate, model_spec
from harness.evidence import forecaster_card
from inspection.ui_readers import metadata_of
from kfp import dsl

from components.artifacts import data_facts, describe
from components.deploy.component import deploy
from components.register.component import register
from delivery.git.repository import ensure_local_repository
from training.spec.argument import texts_digest

ROOT = Path(__file__).parents[2]


def test_data_says_what_it_is_without_the_password_of_its_source() -> None:
    data = dsl.Dataset()
    describe(data, data_facts(forecaster_card(source="https://ann:s3cret@data.example/bikes.csv?sig=s3cret")))
    facts = metadata_of(data)
    assert facts["source"] == "https://data.example/bikes.csv"
    assert (facts["train_rows"], facts["test_rows"], facts["refused_rows"]) == (74_917, 2_352, 41)
    assert facts["time_from"].startswith("2010-09-20") and facts["time_to"].startswith("2019-09-01")
    assert "s3cret" not in json.dumps(data.metadata) and "as_of" not in facts


def test_what_is_no_number_is_left_out_and_zero_is_not() -> None:
    model = dsl.Model()
    describe(model, {"loss": float("nan"), "size": float("inf"), "rows": 0, "digest": ""})
    assert metadata_of(model) == {"rows": 0}


def test_a_version_leads_to_the_registry_and_a_release_to_the_commit(tmp_path: Path) -> None:
    (tmp_path / ".ostinato").mkdir()
    tracking_uri, spec = f"sqlite:///{tmp_path}/.ostinato/mlflow.db", model_spec().canonical_json()
    manifests = ensure_local_repository(tmp_path / "manifests.git", ROOT / "manifests")
    files = candidate(tmp_path / "made")
    registered, released = dsl.Model(uri=str(tmp_path / "registered")), dsl.Artifact(uri=str(tmp_path / "released"))
    verdict = dsl.Artifact(uri=str(files.verdict))
    version = register.python_func(
        spec,
        tracking_uri,
        "c0de",
        "",
        "run-1",
        texts_digest([spec]),
        dsl.Dataset(uri=str(files.data)),
        dsl.Model(uri=str(files.model)),
        verdict,
        *(dsl.HTML(uri=str(page)) for page in (files.report, files.evidently)),
        dsl.Artifact(uri=str(files.sample)),
        registered,
    )[0]
    facts = metadata_of(registered)
    assert registered.schema_title == "system.Model" and facts["model_uri"] == f"models:/bike-demand/{version}"
    assert facts["commit"] == "c0de" and facts["run"] == "run-1" and facts["digest"].startswith("sha256:")

    commit = deploy.python_func(
        spec,
        tracking_uri,
        str(manifests),
        version,
        "direct",
        "c0de",
        "run-1",
        "",
        texts_digest([spec]),
        verdict,
        released,
    )[0]
    facts = metadata_of(released)
    assert facts["commit"] == commit == bare_git(manifests, "rev-parse", "main")
    assert facts["version"] == version and facts["code_commit"] == "c0de"
    assert bare_git(manifests, "cat-file", "-t", f"{commit}:{facts['manifest']}") == "blob"
    for artifact in (registered, released):
        assert json.loads(Path(artifact.path).read_text()) == artifact.metadata, "a file, or no engine caches it"
