"""`ostinato validate`: what can be checked of a model without running anything."""

from dataclasses import replace

from components.evaluate.language.judge import read_labels
from components.preprocess.language.steps import glance
from components.preprocess.table.scan import scan
from components.train.steps import check_hyperparameters
from delivery.kserve.canary import with_canary
from delivery.kserve.changes import with_release
from delivery.kserve.manifest import ServedVersion
from delivery.serving.runtimes import check_runtime_here
from delivery.stores.sources import resolve
from pipelines.settings.settings import Workspace
from training.errors import InputError
from training.folder import load_module, model_folder, model_spec, running_code_of
from training.spec import ConversationSpec, ModelSpec

NO_DIGEST = "sha256:" + "0" * 64


def validate_model(workspace: Workspace, name: str) -> list[str]:
    """One line for each thing that is in order. Raises InputError for the first that is not."""
    spec = model_spec(workspace.root, name)
    data = "conversations" if isinstance(spec.data, ConversationSpec) else f"{len(spec.data.columns)} columns"
    return [
        f"spec.yaml is in order ({spec.task}, {data}, {len(spec.quality.checks)} checks)",
        check_code(workspace, spec),
        check_data(workspace, spec),
        check_runtime_here(spec, workspace.root),
        check_manifest(spec),
        *check_judge(workspace, spec),
    ]


def check_code(workspace: Workspace, spec: ModelSpec) -> str:
    folder = model_folder(workspace.root, spec.name)
    module_name, function = spec.training.entry_point.split(":")
    with running_code_of(folder):
        module = load_module(folder, module_name)
    if not callable(getattr(module, function, None)):
        raise InputError(f"{folder / module_name}.py has no function {function!r}; training.entry_point names it")
    given = check_hyperparameters(getattr(module, "Hyperparameters", None), spec.training, folder)
    return f"{module_name}.py imports and takes {', '.join(sorted(type(given).model_fields)) or 'no hyperparameters'}"


def check_data(workspace: Workspace, spec: ModelSpec) -> str:
    """Of a table the header only, of conversations the first rows: the rest is checked by the preprocess step."""
    import tempfile
    from pathlib import Path

    folder = model_folder(workspace.root, spec.name)
    with tempfile.TemporaryDirectory() as scratch:
        if isinstance(spec.data, ConversationSpec):
            good, rows = glance(spec.data, folder, Path(scratch))
            sources = " and ".join(uri for uri in (spec.data.source, spec.data.test) if uri)
            return f"{sources}: {good} of the first {rows} conversations are in order"
        scan(resolve(spec.data.source, folder), spec.data, Path(scratch))
    return f"{spec.data.source} has every column of the contract"


def check_manifest(spec: ModelSpec) -> str:
    uri, digests = "s3://models/m-0/artifacts", (NO_DIGEST, NO_DIGEST, NO_DIGEST)
    first = ServedVersion("1", uri, *digests, code_version="unknown", spec_digest=spec.digest())
    manifest = with_release(spec, None, first)
    if spec.serving.canary:
        with_canary(spec, manifest, replace(first, version="2"), spec.serving.canary.percent)
    return f"its {spec.serving.resource} renders ({len(manifest.content)} bytes, runtime {spec.serving.runtime})"


def check_judge(workspace: Workspace, spec: ModelSpec) -> list[str]:
    """The labelled pairs only: the endpoint is not asked. Nothing where there is no judge, or none with labels."""
    judge = spec.quality.judge
    if judge is None or judge.labels is None:
        return []
    labels = read_labels(model_folder(workspace.root, spec.name), judge.labels)
    return [f"{judge.labels} has {len(labels)} labelled pairs for the judge {judge.model}"]
