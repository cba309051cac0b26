"""`ostinato run`: from a model's name to a summary, through the compiled package and the local engine."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from components.train.language.steps import check_training_here
from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.documents.verdict import Verdict
from delivery.releases.release import check_mode
from delivery.serving.runtimes import check_runtime_here
from delivery.stores.sources import snapshot
from pipelines.backends.local import Event, RunResult, StepFailed, load_package, run_package
from pipelines.package.package import code_version, libraries, package_file
from pipelines.pages import write_pages
from pipelines.settings.settings import Workspace
from pipelines.step_names import check_step
from training.errors import GateRefused, InputError, did_you_mean
from training.folder import load_module, model_folder, model_spec
from training.spec import TASKS, ModelSpec, Task

_SCIKIT = ("numpy", "scipy.stats", "pandas", "sklearn.ensemble", "skops.io")
_TORCH = ("numpy", "torch", "transformers.modeling_utils", "transformers.models.auto.modeling_auto")
_EVIDENTLY = ("evidently", "evidently.presets", "evidently.metrics")
_STORES = ("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store")
TABLES = {"train": (*_SCIKIT, "sqlalchemy", "mlflow", "mlflow.sklearn"), "evaluate": (*_SCIKIT, *_EVIDENTLY, *_STORES)}
TEXTS = {
    "train": (*_TORCH, "peft", "trl.trainer.sft_trainer", "mlflow", "mlflow.pyfunc"),
    "evaluate": (*_TORCH, "pandas", *_EVIDENTLY, *_STORES),
}
"""Heavy modules of each step, first things first: the engine imports them while earlier steps run.

Register's are listed under evaluate: when the cache answers evaluate, nothing is new, and register only looks. PyTorch
may be imported before the engine forks, and only computes after it.
"""


def preload(task: Task) -> dict[str, tuple[str, ...]]:
    """What to import ahead for a task: nothing of PyTorch's for a model of a table."""
    return TEXTS if TASKS[task].is_language_model else TABLES


@dataclass(frozen=True)
class Summary:
    """What a finished run says of itself; ``--json`` prints it."""

    run: str
    model: str
    decision: str
    """pass, reject, or empty where the run ended before it was judged."""
    version: str
    commit: str
    canary_percent: int
    """Of the requests, where the version went live as a canary; 0 for all of them."""
    folder: str
    page: str
    """The page to open; empty before evaluate."""
    seconds: float
    steps: dict[str, dict[str, Any]]
    pull_request: str = ""
    """Address of the open one, where the version waits for a reviewer."""
    note: str = ""
    """What else is to be known or done."""


@dataclass(frozen=True)
class Finished:
    summary: Summary
    verdict: Verdict | None
    refusal: GateRefused | None


def run_model(
    workspace: Workspace,
    name: str,
    *,
    data: str | None,
    until: str,
    parameters: Mapping[str, str],
    release: str | None,
    resume: str | None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Finished:
    """Run a model's pipeline here, up to and with the step ``until``.

    data: another source than the spec's. parameters: ``as_of`` and hyperparameters, as text. release: another mode
    than the spec's. resume: id of a run that did not finish. Raises InputError before anything ran, StepFailed for a
    step that failed. A refusal by the gate is returned, with the verdict, for the caller to end with exit code 3.
    """
    check_step(until)
    spec, as_of = override(model_spec(workspace.root, name), dict(parameters), workspace.root)
    check_runtime_here(spec, workspace.root)
    check_training_here(spec)
    connections = workspace.connect()
    run = find_run(workspace, resume) if resume else new_run_id(name)
    folder = workspace.runs / run
    uri = data_uri(workspace, spec, data)
    arguments = {
        "data_uri": uri,
        "data_snapshot": snapshot(uri, model_folder(workspace.root, name), spec.data),
        "as_of": as_of,
        **asdict(connections),
        "release": check_mode(release) if release else spec.release.mode,
        "code_version": code_version(workspace.root),
    }
    options = {"image": workspace.image, "until": until, "backend": "local"}
    package = package_file(workspace.root, spec, **options, cache=workspace.packages, settings=workspace.settings)
    os.environ["OSTINATO_WORKSPACE"] = str(workspace.root)
    try:
        result = run_package(
            load_package(package),
            arguments=arguments,
            run_dir=folder,
            cache_dir=workspace.cache,
            environment=libraries(),
            preload=preload(spec.task),
            on_event=on_event,
            resume=resume is not None,
        )
    except StepFailed as failed:
        verdict = verdict_of(failed.result)
        finished = finish(spec, run, failed.result, verdict, str(failed.message))
        if failed.exit_code != GateRefused.exit_code:
            raise
        return Finished(finished, verdict, GateRefused(failed.message))
    verdict = verdict_of(result)
    refusal = None
    if verdict is not None and verdict.decision == "reject":
        lines = "\n".join(f"  {check.name}: {check.reason}" for check in verdict.refusals)
        refusal = GateRefused(f"checks failed: {name}\n{lines}")
    return Finished(finish(spec, run, result, verdict, ""), verdict, refusal)


def override(spec: ModelSpec, parameters: dict[str, str], root: Path) -> tuple[ModelSpec, str]:
    """The spec with ``--param`` applied, and as_of. Raises InputError for a parameter that nothing takes."""
    as_of = parameters.pop("as_of", "")
    known = set(spec.training.hyperparameters)
    if set(parameters) - known:
        module = load_module(model_folder(root, spec.name), spec.training.entry_point.split(":")[0])
        known |= set(module.Hyperparameters.model_fields) if hasattr(module, "Hyperparameters") else set()
    for name in parameters:
        if name not in known:
            hint = did_you_mean(name, known | {"as_of"})
            raise InputError(f"--param {name}={parameters[name]}: {spec.name} has no such parameter. {hint}")
    given = {name: yaml.safe_load(value) for name, value in parameters.items()}
    training = spec.training.model_copy(update={"hyperparameters": spec.training.hyperparameters | given})
    return ModelSpec.model_validate(spec.model_dump() | {"training": training.model_dump()}), as_of


def data_uri(workspace: Workspace, spec: ModelSpec, given: str | None) -> str:
    """Absolute path or URI of the source: ``--data`` from the current folder, the spec's from the model's folder."""
    if given is not None:
        return given if "://" in given else str(Path(given).absolute())
    source = spec.data.source
    return source if "://" in source else str((model_folder(workspace.root, spec.name) / source).absolute())


def new_run_id(name: str) -> str:
    """Sorts by time within a model, and is unique."""
    return f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def find_run(workspace: Workspace, run: str | None) -> str:
    """The id of a run, the newest one unless given. Raises InputError if there is none."""
    manifests = sorted(workspace.runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    ids = [path.parent.name for path in manifests]
    if not ids:
        raise InputError("nothing has run here yet; start with: ostinato run MODEL")
    if run is not None and run not in ids:
        raise InputError(f"there is no run {run!r} under {workspace.runs}. {did_you_mean(run, ids[-20:])}")
    return run or ids[-1]


def verdict_of(result: RunResult) -> Verdict | None:
    """The verdict, where the run came that far."""
    judged = result.steps.get("evaluate")
    if judged is None or "verdict" not in judged.outputs.artifacts:
        return None
    return Verdict.read(judged.outputs.artifacts["verdict"].path)


def finish(spec: ModelSpec, run: str, result: RunResult, verdict: Verdict | None, failure: str) -> Summary:
    """Write the run's page and its summary."""
    steps = {
        name: {"status": step.status, "origin": step.origin, "seconds": round(step.seconds, 3)}
        for name, step in result.steps.items()
    }
    card = None
    if "data" in result.steps["preprocess"].outputs.artifacts:
        card = DataCard.read(result.steps["preprocess"].outputs.artifacts["data"].path / DATA_CARD_FILE)
    page = write_pages(spec, run, result, verdict, card, failure)
    summary = Summary(
        run=run,
        model=spec.name,
        decision=verdict.decision if verdict else "",
        version=result.parameter("register", "version"),
        commit=result.parameter("deploy", "commit"),
        canary_percent=int(float(result.parameter("deploy", "canary_percent") or 0)),
        folder=str(result.run_dir),
        page=str(page),
        seconds=round(result.seconds, 3),
        steps=steps,
        pull_request=result.parameter("deploy", "pull_request"),
        note=result.parameter("deploy", "note"),
    )
    (result.run_dir / "summary.json").write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    return summary
