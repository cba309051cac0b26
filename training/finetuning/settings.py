"""Our options in the words of transformers, PEFT and accelerate."""

import math
import os
from typing import TYPE_CHECKING, Any, Literal

from training.errors import InputError
from training.spec.fine_tuning import FineTuning

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig

SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def world_size() -> int | None:
    """Processes that a launcher has started to train together (torchrun's variables), or None without one."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return None


def check_devices(options: FineTuning) -> None:
    """Raises InputError if this process's GPUs don't fit ``processes``."""
    import torch

    gpus = torch.cuda.device_count()
    if world_size() is not None or gpus == 0:
        return
    if options.processes > gpus:
        raise InputError(
            f"hyperparameters.processes is {options.processes}, and this machine shows {gpus} GPUs; set it to {gpus}"
        )
    if options.processes == 1 and gpus > 1:
        raise InputError(
            f"this machine shows {gpus} GPUs and hyperparameters.processes is 1: set it to {gpus}, or let one be seen "
            "with CUDA_VISIBLE_DEVICES=0"
        )


def arguments(
    options: FineTuning, seed: int, precision: Literal["bf16", "fp32"], share: int, learned: int, folder: str
) -> "SFTConfig":
    """Of the trainer; making them joins the other processes, if there are any.

    share: conversations of a forward pass; learned: all that are learned from."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    steps = options.max_steps or math.ceil(options.epochs * learned / options.batch_size)
    every = options.checkpoint_every or math.ceil(learned / options.batch_size)
    extra: dict[str, Any] = {}
    if world_size() is not None and not torch.cuda.is_available():
        extra["ddp_backend"] = "gloo"
    if options.sharding == "fsdp" and world_size() is not None:
        extra["fsdp"] = True
        extra["fsdp_config"] = {
            "version": 2,
            "activation_checkpointing": options.gradient_checkpointing,
            "state_dict_type": "SHARDED_STATE_DICT",
        }
    settings = SFTConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=share,
        gradient_accumulation_steps=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type=SCHEDULERS[options.scheduler],
        warmup_steps=options.warmup_ratio,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        optim="adamw_torch_fused",
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=precision == "bf16",
        activation_checkpointing=options.gradient_checkpointing and "fsdp" not in extra,
        torch_compile=options.compile,
        eval_strategy="steps" if options.eval_share else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=options.eval_share > 0,
        metric_for_best_model="loss" if options.eval_share else None,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        report_to="none",
        push_to_hub=False,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        dataloader_pin_memory=torch.cuda.is_available(),
        **extra,
    )
    if settings.fsdp_plugin_args is not None and precision == "bf16":
        from torch.distributed.fsdp import MixedPrecisionPolicy

        # accelerate's own policy would also round the loss and the summed gradients to bf16.
        policy: Any = MixedPrecisionPolicy(torch.bfloat16, reduce_dtype=torch.float32, output_dtype=torch.float32)
        settings.fsdp_plugin_args["mixed_precision_policy"] = policy
    return settings


def lora(options: FineTuning) -> "LoraConfig":
    """Of PEFT."""
    from peft import LoraConfig

    names = [name.strip() for name in options.lora_targets.split(",")]
    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=options.lora_dropout,
        target_modules="all-linear" if names == ["all-linear"] else names,
        bias="none",
        task_type="CAUSAL_LM",
    )
