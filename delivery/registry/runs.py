"""The MLflow run and the stored model folder behind a version: each found by the model digest before it is made."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.documents.data_card import DATA_CARD_FILE, TRAIN_FILE, DataCard
from delivery.documents.sample import SAMPLE_FILE
from delivery.documents.verdict import Verdict
from delivery.effects import effect
from delivery.registry.mlflow import EXISTS, registry_errors
from delivery.registry.reference import REFERENCE_FILE, write_reference
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import (
    DIGEST_TAG,
    FINGERPRINT_TAG,
    RUN_TAG,
    VERDICT_DIGEST_TAG,
    ModelVersion,
    sqlite_file,
)
from training.errors import OstinatoError
from training.spec import ModelSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.data.dataset_source import DatasetSource
    from mlflow.entities import DatasetInput, LoggedModel

DATASET_DIGEST_LENGTH = 36
"""The longest dataset digest that MLflow stores."""


@dataclass(frozen=True)
class Candidate:
    """Where the earlier steps left what is registered: two folders and four files."""

    data: Path
    model: Path
    verdict: Path
    report: Path
    evidently: Path
    sample: Path


def ensure_experiment(client: "MlflowClient", tracking_uri: str, name: str) -> str:
    """Id of the experiment; made unless it exists. Beside a SQLite store its artifacts have a stated place."""
    file = sqlite_file(tracking_uri)
    location = (file.parent / "artifacts" / name).as_uri() if file else None
    with registry_errors(tracking_uri, fine=EXISTS):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            created = client.create_experiment(name, artifact_location=location)
            effect("experiment created")
            return created
    with registry_errors(tracking_uri):
        experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise OstinatoError(
            f"experiment {name!r} of {tracking_uri} was deleted; restore it with `mlflow experiments restore`"
        )
    return experiment.experiment_id


def ensure_run(
    client: "MlflowClient", experiment: str, spec: ModelSpec, verdict: Verdict, tags: dict[str, str], files: Candidate
) -> str:
    """Id of the finished run with the parameters, metrics, dataset lineage and evidence of this model and verdict."""
    from mlflow.entities import Metric, Param

    condition = (
        _with_tag(DIGEST_TAG, tags[DIGEST_TAG]) + " AND " + _with_tag(VERDICT_DIGEST_TAG, tags[VERDICT_DIGEST_TAG])
    )
    runs = client.search_runs([experiment], condition, order_by=["attributes.start_time ASC"], max_results=1)
    if runs:
        run = runs[0]
    else:
        git = {"mlflow.source.git.commit": tags["ostinato.code_version"]} if "ostinato.code_version" in tags else {}
        run = client.create_run(experiment, run_name=tags[RUN_TAG], tags={**tags, **git})
        effect("run created")
    if run.info.status == "FINISHED":
        return run.info.run_id
    run_id, at = run.info.run_id, run.info.start_time
    parameters = {"task": spec.task, "seed": spec.training.seed, **_base_model(spec), **spec.training.hyperparameters}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, at, 0) for key, value in _metrics(verdict).items()],
        params=[Param(key, str(value)) for key, value in parameters.items()],
    )
    client.log_inputs(run_id, _datasets(spec.name, DataCard.read(files.data / DATA_CARD_FILE)))
    effect("run described")
    stored = RunFiles(client, run_id)
    for file, name in (
        (files.verdict, "verdict.json"),
        (files.report, "report.html"),
        (files.evidently, "evidently.html"),
        (files.sample, SAMPLE_FILE),
        (files.data / DATA_CARD_FILE, DATA_CARD_FILE),
    ):
        stored.put(name, file.read_bytes())
    if spec.drift_watch is not None:
        with tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
            write_reference(files.data / TRAIN_FILE, Path(folder, REFERENCE_FILE))
            stored.put(REFERENCE_FILE, Path(folder, REFERENCE_FILE).read_bytes())
    effect("run artifacts logged")
    client.set_terminated(run_id)
    effect("run finished")
    return run_id


def _base_model(spec: ModelSpec) -> dict[str, str]:
    """What a language model starts from, and the prompt that it has; nothing for other models."""
    base = spec.training.base_model
    if base is None:
        return {}
    pinned = {"base_model_revision": base.revision} if base.revision else {}
    return {"base_model": base.source, **pinned, "system_prompt": spec.training.system_prompt or "none"}


def _metrics(verdict: Verdict) -> dict[str, float]:
    """Every measured value by MLflow key: `mae`, `mae.low`, `champion.mae`, `difference.mae.high`, …"""
    values: dict[str, float] = {}
    rows = [
        ("" if contender.role == "candidate" else f"{contender.role}.", contender.metrics)
        for contender in verdict.contenders
    ]
    for prefix, metrics in [*rows, ("difference.", verdict.differences)]:
        for name, measure in metrics.items():
            values[prefix + name] = measure.value
            for end in ("low", "high"):
                bound = getattr(measure, end)
                if bound is not None:
                    values[f"{prefix}{name}.{end}"] = bound
    return values


def _datasets(name: str, card: DataCard) -> list["DatasetInput"]:
    """Training and test rows as dataset inputs; both have the data fingerprint as digest."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    digest = card.fingerprint.removeprefix("sha256:")[:DATASET_DIGEST_LENGTH]
    inputs = []
    for context in ("training", "testing"):
        dataset = MetaDataset(_source(card.source), name=f"{name}-{context}", digest=digest)
        tags = [InputTag("mlflow.data.context", context), InputTag(FINGERPRINT_TAG, card.fingerprint)]
        inputs.append(DatasetInput(dataset._to_mlflow_entity(), tags))
    return inputs


def _source(uri: str) -> "DatasetSource":
    """MLflow's name for where data came from; what it has no class for is kept as written."""
    import warnings

    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.exceptions import MlflowException

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return resolve_dataset_source(uri)
        except MlflowException:
            return CodeDatasetSource({"ostinato.source": uri})


def facts_of_run(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> dict[str, str]:
    """The tags with the values that the run was created with.

    A run that another attempt left is gone on with, so its facts count, not those of the attempt that finds it: two
    attempts then state the same.
    """
    of_run = client.get_run(run_id).data.tags
    return {key: of_run.get(key, value) for key, value in tags.items()}


def ensure_model(
    client: "MlflowClient", experiment: str, run_id: str, spec: ModelSpec, digest: str, folder: Path
) -> str:
    """Id of the READY logged model with the digest. One that was left half uploaded is not trusted, but replaced."""
    from mlflow.entities import LoggedModelStatus

    for model in logged_models(client, experiment, digest):
        if model.status == LoggedModelStatus.READY:
            _link_run(client, run_id, model.model_id)
            return model.model_id
    model = client.create_logged_model(experiment, spec.name, source_run_id=run_id, tags={DIGEST_TAG: digest})
    effect("model created")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            parent = file.relative_to(folder).parent.as_posix()
            client.log_model_artifact(model.model_id, str(file), None if parent == "." else parent)
            effect("model file uploaded")
    effect("model uploaded")
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    effect("model ready")
    _link_run(client, run_id, model.model_id)
    return model.model_id


def _link_run(client: "MlflowClient", run_id: str, model_id: str) -> None:
    """Say on the run that it made the logged model, unless it says so: MLflow would say it twice."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def link_version(client: "MlflowClient", version: ModelVersion) -> None:
    """Say on the logged model which version it became, as MLflow's own register does for its pages."""
    named = json.dumps([{"name": version.name, "version": version.version}])
    client.set_logged_model_tags(version.source.removeprefix("models:/"), {"mlflow.modelVersions": named})


def logged_models(client: "MlflowClient", experiment: str, digest: str) -> list["LoggedModel"]:
    """Logged models with the model digest, oldest first."""
    order = [{"field_name": "creation_timestamp", "ascending": True}]
    return list(client.search_logged_models([experiment], _with_tag(DIGEST_TAG, digest), order_by=order))


def delete_leftovers(client: "MlflowClient", experiment: str, digest: str, run_id: str, source: str) -> None:
    """Delete the runs and logged models with the digest that the version does not point at."""
    for run in client.search_runs([experiment], _with_tag(DIGEST_TAG, digest)):
        if run.info.run_id != run_id:
            client.delete_run(run.info.run_id)
    for model in logged_models(client, experiment, digest):
        if f"models:/{model.model_id}" != source:
            client.delete_logged_model(model.model_id)


def _with_tag(key: str, value: str) -> str:
    return f"tags.`{key}` = '{value}'"
