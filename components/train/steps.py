"""Train: typed hyperparameters, the model folder's own ``train``, and a model folder that can be trusted."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.train.workers import is_first
from delivery.documents.data_card import DATA_CARD_FILE, TRAIN_FILE, DataCard
from delivery.models.folder import model_digest, save_model
from delivery.models.onnx.export import check_export, check_installed, export_onnx
from training.errors import InputError, did_you_mean
from training.folder import load_module, model_folder, running_code_of, workspace_root
from training.spec import TASKS, DataSpec, TrainingSpec
from training.spec.plain_yaml import explain_no_text

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel


@dataclass(frozen=True)
class Trained:
    digest: str
    framework: str
    rows: int
    seconds: float
    loss: tuple[tuple[int, float], ...] = ()
    """Some steps of a language model's training, and the loss at each."""


@dataclass(frozen=True)
class Owned:
    """What a model's owner wrote, imported and checked."""

    folder: Path
    fit: Callable[..., Any]
    hyperparameters: Any


def train(
    model: str, task: str, data_spec: str, training_spec: str, data: Path, out: Path, export: str = "", code: str = ""
) -> Trained:
    """Fit on ``train.parquet`` of the data folder and save an MLflow model folder at ``out``.

    export: ``onnx`` makes the folder a model repository of Triton as well. code: digest of the code that trains, so
    that a training that was killed is gone on with only while nothing changed. Raises InputError for hyperparameters,
    an entry point or a target that do not fit, and an estimator that can't be exported; OstinatoError for whatever the
    model's own code raises, and an export that answers otherwise than the estimator.
    """
    if check_export(export):
        check_installed()
    training = TrainingSpec.model_validate_json(training_spec)
    if TASKS[task].is_language_model:
        return train_language_model(model, training, data, out, code)
    contract = DataSpec.model_validate_json(data_spec)
    card = DataCard.read(data / DATA_CARD_FILE)
    owned = open_owned(model, training)
    rows, target = read_training_rows(data / TRAIN_FILE, contract)
    check_target(target, task, contract.target)
    started = time.monotonic()
    with running_code_of(owned.folder):
        estimator = owned.fit(rows, target, owned.hyperparameters, training.seed)
    seconds = time.monotonic() - started
    print(f"fitted {type(estimator).__name__} on {len(rows)} rows x {rows.shape[1]} inputs in {seconds:.2f} s")

    facts = {"data_fingerprint": card.fingerprint, "rows": len(rows)}
    if card.train.time_to is not None:
        facts["train_time_to"] = card.train.time_to.isoformat()
    save_model(estimator, out, rows, training.trusted_types, facts)
    if export:
        export_onnx(estimator, out, model, rows)
    return Trained(model_digest(out), "scikit-learn", len(rows), seconds)


def train_language_model(model: str, training: TrainingSpec, data: Path, out: Path, code: str) -> Trained:
    """See :func:`train`; ``out`` then has Hugging Face's layout as well. The first of several processes writes it."""
    from components.train.language.steps import check_workers, train_conversations
    from training.llm_extra import need_llm_extra

    check_workers(training)
    need_llm_extra("a language model")
    owned = open_owned(model, training)
    started = time.monotonic()
    rows, loss = train_conversations(owned.fit, owned.hyperparameters, training, owned.folder, data, out, code)
    digest = model_digest(out) if is_first(os.environ) else ""
    return Trained(digest, "transformers", rows, time.monotonic() - started, loss)


def open_owned(model: str, training: TrainingSpec) -> Owned:
    """Import the model's own code. Raises InputError for hyperparameters or an entry point that do not fit."""
    folder = model_folder(workspace_root(), model)
    module_name, function_name = training.entry_point.split(":")
    with running_code_of(folder):
        module = load_module(folder, module_name)
    hyperparameters = check_hyperparameters(getattr(module, "Hyperparameters", None), training, folder)
    fit = getattr(module, function_name, None)
    if not callable(fit):
        raise InputError(f"{folder / module_name}.py has no function {function_name!r}; training.entry_point names it")
    return Owned(folder, fit, hyperparameters)


def check_hyperparameters(schema: "type[BaseModel] | None", training: TrainingSpec, folder: Path) -> Any:
    """The spec's hyperparameters as the model's own class. Raises InputError that names field, value and fix."""
    from pydantic import ValidationError

    if schema is None:
        raise InputError(f"{folder / 'model.py'} has no class Hyperparameters; add one (a pydantic BaseModel)")
    unknown = sorted(set(training.hyperparameters) - set(schema.model_fields))
    if unknown:
        hint = did_you_mean(unknown[0], schema.model_fields)
        raise InputError(f"training.hyperparameters.{unknown[0]}: the model has no such hyperparameter. {hint}")
    try:
        return schema.model_validate(training.hyperparameters)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, problem['loc']))}: {_advice(problem)}" for problem in error.errors()]
        raise InputError("training.hyperparameters." + "\n  ".join(lines)) from error


def _advice(problem: Any) -> str:
    no_text = explain_no_text(problem["input"], None) if problem["type"] == "string_type" else None
    return no_text or f"{problem['msg']} (got {problem['input']!r})"


def read_training_rows(path: Path, contract: DataSpec) -> "tuple[pd.DataFrame, pd.Series]":
    """Inputs (rows, inputs) with the Parquet file's types, and the target (rows,)."""
    import polars as pl

    frame = pl.read_parquet(path)
    labels = {contract.target, contract.time, contract.key}
    inputs = [name for name in frame.columns if name not in labels]
    if not inputs:
        raise InputError(f"data.columns has no input besides target, time and key ({sorted(filter(None, labels))})")
    return frame.select(inputs).to_pandas(), frame[contract.target].to_pandas()


def check_target(target: "pd.Series", task: str, name: str) -> None:
    """Raises InputError when there is nothing to learn."""
    if TASKS[task].answers == "classes" and target.nunique() < 2:
        raise InputError(
            f"the target {name!r} has one class only in the training rows ({target.iloc[0]!r}); "
            "a classifier needs two: check the source and data.split"
        )
