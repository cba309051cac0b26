"""The whole fine-tuning: checks, training in this process or in several, and its result."""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import InputError
from training.finetuning.base import Loaded, check_base, load_base, load_tokenizer, precision_of, window_of
from training.finetuning.batches import Collator, hold_out, order
from training.finetuning.examples import Conversation, Example, tokenise
from training.finetuning.launch import launch
from training.finetuning.place import Place, alone, last_checkpoint, place_for
from training.finetuning.result import finish_adapter, finish_model, write_log
from training.finetuning.settings import arguments, check_devices, lora, world_size
from training.finetuning.training_failures import memory_explained
from training.llm_extra import need_llm_extra
from training.spec.fine_tuning import FineTuning

if TYPE_CHECKING:
    from trl.trainer.sft_config import SFTConfig

    from training.finetuning.trainer import AnswerTraining

COMPILED_MULTIPLE = 64


def fine_tune(conversations: Sequence[Conversation], base: Path, options: FineTuning, seed: int, work: Path) -> Path:
    """Train a base model on conversations; returns the folder of the result, inside ``work``.

    conversations: messages `{role, content}`; the loss is of the assistant's answers alone. base: a Hugging Face
    folder with a chat template. work: a folder that survives a kill; called again with the same arguments, the
    training goes on from its last whole checkpoint, and the weights are those of a training that was not killed. The
    result is a Hugging Face folder (method full), a PEFT adapter (lora), or ``base`` itself (prompt);
    `training_log.json` lies beside it.

    Raises InputError for conversations, a base model or options that can't be trained with, and OstinatoError where
    training fails: a loss that is no number, too little memory, a process that died.
    """
    if options.method == "prompt":
        return base
    need_llm_extra("fine-tuning")
    check_base(base)
    check_devices(options)
    place = place_for(conversations, base, options, seed, precision_of(options.precision), work)
    launched = world_size()
    with alone(place) if launched is None else nullcontext():
        if place.result.is_dir():
            print(f"{place.result} was trained before", flush=True)
        elif launched is None and options.processes > 1:
            tokenise(conversations, load_tokenizer(base), window_of(base, options))
            launch(conversations, base, options, seed, place)
        else:
            train_here(conversations, base, options, seed, place)
    return place.result


def train_here(conversations: Sequence[Conversation], base: Path, options: FineTuning, seed: int, place: Place) -> None:
    """Train in this process, which may be one of several; the first of them writes the result."""
    processes = world_size() or 1
    try:
        share = options.share_of(processes)
    except ValueError as error:
        raise InputError(f"hyperparameters: {error}") from error
    examples = tokenise(conversations, load_tokenizer(base), window_of(base, options))
    learned, held = hold_out(examples, options.eval_share, seed)
    if not learned:
        raise InputError(f"eval_share {options.eval_share} holds out all {len(examples)} conversations; lower it")
    precision = precision_of(options.precision)
    longest = max(len(example.input_ids) for example in examples)
    with memory_explained(options, share, longest):
        settings = arguments(options, seed, precision, share, len(learned), str(place.checkpoints))
        loaded = load_base(base, options, precision)
        trainer = _trainer(loaded, settings, learned, held, base, options, seed)
        trainer.prepare(conversations)
        trainer.train(resume_from_checkpoint=_resumed_from(trainer, place))
    facts = {
        "conversations": len(learned),
        "held_out": len(held),
        "precision": precision,
        "device": trainer.args.device.type,
        "processes": processes,
        "parameters_per_process": _parameters_here(trainer),
    }
    _finish(trainer, loaded, base, place, facts)


def _trainer(
    loaded: Loaded,
    settings: "SFTConfig",
    learned: Sequence[Example],
    held: Sequence[Example],
    base: Path,
    options: FineTuning,
    seed: int,
) -> "AnswerTraining":
    from transformers import EarlyStoppingCallback, PrinterCallback

    from training.finetuning.trainer import answer_trainer

    tokenizer = load_tokenizer(base)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    patience = options.early_stopping_patience
    trainer = answer_trainer()(
        model=loaded.model,
        args=settings,
        data_collator=Collator(
            padding if isinstance(padding, int) else 0,
            options.packing,
            one_row=options.packing and options.attention == "flash_attention_2",
            multiple=COMPILED_MULTIPLE if options.compile else 1,
        ),
        train_dataset=_dataset(learned).select(order(len(learned), settings.max_steps * options.batch_size, seed)),
        eval_dataset=_dataset(held) if held else None,
        processing_class=tokenizer,
        peft_config=lora(options) if options.method == "lora" else None,
        callbacks=[EarlyStoppingCallback(patience)] if patience else [],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(examples: Sequence[Example]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "number": [example.number for example in examples],
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
        }
    )


def _resumed_from(trainer: "AnswerTraining", place: Place) -> str | None:
    """The checkpoint to go on from; all processes wait until the first has cleared away what is half-written."""
    if trainer.is_world_process_zero():
        last_checkpoint(place.checkpoints)
    trainer.accelerator.wait_for_everyone()
    checkpoint = last_checkpoint(place.checkpoints)
    if checkpoint and trainer.is_world_process_zero():
        print(f"going on from {checkpoint.name}", flush=True)
    return str(checkpoint) if checkpoint else None


def _parameters_here(trainer: "AnswerTraining") -> int:
    """How many this process holds: of sharded weights its part."""
    from torch.distributed.tensor import DTensor

    parts = [part.to_local() if isinstance(part, DTensor) else part for part in trainer.model.parameters()]
    return sum(part.numel() for part in parts)


def _finish(trainer: "AnswerTraining", loaded: Loaded, base: Path, place: Place, facts: dict[str, Any]) -> None:
    """All processes take part, since sharded weights are gathered; the first one writes, the result at last."""
    saved, part = place.folder / "saved", place.folder / "result.part"
    trainer.save_model(str(saved))
    if trainer.is_world_process_zero():
        shutil.rmtree(part, ignore_errors=True)
        if place.result_name == "adapter":
            finish_adapter(saved, part)
        else:
            finish_model(saved, base, loaded.dtype, part)
        write_log(place, trainer.state.log_history, facts)
        part.rename(place.result)
        shutil.rmtree(saved)
        shutil.rmtree(place.checkpoints, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
