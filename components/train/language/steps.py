"""Train a language model: conversations, the base model with its prompt, the folder's own ``train``, a model folder."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.train.language.checkpoints import training_place
from components.train.workers import is_first, is_worker
from delivery.documents.data_card import DATA_CARD_FILE, TRAIN_FILE, DataCard
from delivery.models.language.language_model import Result, inspect_result, save_language_model
from delivery.models.language.prepared_base import prepare_base, read_system_prompt
from delivery.models.language.prompts import read_prompts
from delivery.stores.base_model import base_digest, fetch_base_model, is_kept
from training.errors import InputError, OstinatoError
from training.folder import running_code_of
from training.llm_extra import need_llm_extra
from training.spec import ModelSpec, TrainingSpec

LOG_FILE = "training_log.json"
"""What ``training.finetuning`` writes beside its result."""
CURVE_POINTS = 20

Conversation = list[dict[str, str]]


def check_workers(training: TrainingSpec) -> None:
    """Raises InputError for several workers where no backend has started them."""
    if training.workers > 1 and not is_worker(os.environ):
        raise InputError(
            f"training.workers is {training.workers}, but this is one machine: several train together on a cluster "
            "only. Set it to 1 here; several GPUs or processes of one machine are a hyperparameter (processes)"
        )


def check_training_here(spec: ModelSpec) -> None:
    """Raises InputError for a spec that can't be trained on this machine alone, or not with what is installed."""
    check_workers(spec.training)
    if spec.is_language_model:
        need_llm_extra("training a language model")


def train_conversations(
    fit: Callable[..., Any],
    hyperparameters: Any,
    training: TrainingSpec,
    folder: Path,
    data: Path,
    out: Path,
    code: str = "",
) -> tuple[int, tuple[tuple[int, float], ...]]:
    """Run the model's ``train`` on the conversations and save the model folder at ``out``.

    folder: the model's own. code: digest of what decides the outcome besides data, base and spec. Returns the number
    of conversations, and the loss curve as pairs of step and loss, at most CURVE_POINTS. Of several processes the first
    alone saves. Raises InputError for a base model or prompt that does not fit and for a result that is no model;
    OstinatoError for what the model's code raises.
    """
    assert training.base_model, "a spec for generation names its base model"
    card = DataCard.read(data / DATA_CARD_FILE)
    conversations = read_conversations(data / TRAIN_FILE)
    prompts = read_prompts(folder)
    prompt = read_system_prompt(folder, training.system_prompt)
    fetched = fetch_base_model(training.base_model, folder)
    facts = {
        "data_fingerprint": card.fingerprint,
        "rows": len(conversations),
        "base_model": training.base_model.source,
        "base_revision": training.base_model.revision or "",
        "base_sha256": base_digest(fetched),
        "system_prompt": training.system_prompt,
    }
    key = {
        **facts,
        "prompt": prompt,
        "hyperparameters": hyperparameters.model_dump(mode="json"),
        "entry_point": training.entry_point,
        "seed": training.seed,
        "code": code,
    }
    with training_place(key) as place:
        mine = f"base-{os.environ['RANK']}" if is_worker(os.environ) else "base"
        base = prepare_base(fetched, place / mine, prompt, f"the base model {training.base_model.source}")
        work = place / "work"
        work.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with running_code_of(folder):
            returned = fit(conversations, base, hyperparameters, training.seed, work)
        result = inspect_result(returned, base, training.entry_point)
        print(f"trained ({result.method}) on {len(conversations)} conversations in {time.monotonic() - started:.1f} s")
        if not is_first(os.environ):
            return len(conversations), ()
        save_language_model(
            result,
            base,
            out,
            separate=training.adapter == "separate",
            prompts=prompts,
            facts={
                **facts,
                "method": result.method,
                "adapter": training.adapter if result.method == "lora" else "none",
            },
            link=is_kept(fetched),
        )
        return len(conversations), loss_curve(result)


def read_conversations(path: Path) -> list[Conversation]:
    """The messages of every row of ``train.parquet``. Raises OstinatoError for a file without conversations."""
    import polars as pl

    frame = pl.read_parquet(path, columns=["messages"])
    if frame.is_empty():
        raise OstinatoError(f"{path} has no conversations; look at data.split and the refused rows")
    return frame["messages"].to_list()


def loss_curve(result: Result) -> tuple[tuple[int, float], ...]:
    """Pairs of step and loss from the log beside a result, thinned out evenly; the last one is always there."""
    log = result.folder.parent / LOG_FILE
    if result.method == "prompt" or not log.is_file():
        return ()
    losses = json.loads(log.read_text(encoding="utf-8")).get("loss", [])
    points = [(step, round(loss, 4)) for step, loss in enumerate(losses, start=1)]
    stride = math.ceil(len(points) / CURVE_POINTS) or 1
    return tuple(points[::-1][::stride][::-1])
