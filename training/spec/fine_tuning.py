"""The hyperparameters of a fine-tuning."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.section import Section

Positive = Annotated[float, Field(gt=0)]


class FineTuning(Section):
    """How a language model is fine-tuned on conversations. Only `method`, the learning rate with its schedule, the
    batch and the LoRA options decide what is learned; packing, accumulation, processes, sharding, checkpointing and
    compiling decide how fast and in how much memory, and leave the loss curve as it is up to rounding."""

    method: Literal["lora", "full", "prompt"] = "lora"
    """`lora` learns small matrices beside the frozen weights, `full` all weights, `prompt` nothing: the base model is
    taken as it is, and only the prompts of the model's folder differ."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-4
    """At its peak; some 1e-4 to 5e-4 for `lora`, 1e-5 to 1e-4 for `full`."""
    epochs: Annotated[float, Field(gt=0, le=1000)] = 3.0
    """How often each conversation is seen; the last step is filled up to a whole batch."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps of the optimizer, instead of `epochs`."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 16
    """Conversations of one step of the optimizer, over all processes and accumulated parts."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)] = 1
    """Parts in which a process computes its share of a step, one after the other: more parts need less memory."""
    max_length: Annotated[int, Field(ge=8, le=1_048_576)] = 1024
    """Tokens of a conversation with its chat template; a longer one is an error, never cut. The model's own window
    counts as well."""
    packing: bool = True
    """Lay short conversations of a part one behind the other in one row, without seeing each other, instead of padding
    all to the longest."""
    lora_rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Inner size of the LoRA matrices."""
    lora_alpha: Positive = 32.0
    """LoRA matrices are scaled by alpha / rank."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a LoRA layer's inputs set to zero while training. Above 0 the processes draw different ones."""
    lora_targets: Annotated[str, Field(pattern=r"^[A-Za-z_][-\w]*( *, *[A-Za-z_]\w*)*$")] = "all-linear"
    """Layers that get LoRA matrices: `all-linear`, or names separated by commas, such as `q_proj,v_proj`."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps in which the learning rate rises from 0 to its peak."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """What the learning rate does after that: falls to 0 in either form, or stays."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of AdamW."""
    max_grad_norm: Positive = 1.0
    """Longer gradients are scaled down to this norm."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the arithmetic; what the optimizer changes is kept in fp32. `auto` is bf16 where the hardware computes in it
    (NVIDIA since Ampere, processors with avx512_bf16 or amx_bf16), else fp32."""
    gradient_checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, some 20 to 30 % slower."""
    compile: bool = False
    """torch.compile: pays on long trainings on a GPU; the first steps take minutes."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Implementation of attention; `flash_attention_2` needs the package flash-attn and an NVIDIA GPU."""
    eval_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the conversations held out of training, drawn by the seed; their loss is computed at each checkpoint."""
    early_stopping_patience: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Stop after so many checkpoints in a row without a lower held-out loss; the weights with the lowest are kept."""
    checkpoint_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between two checkpoints, from which a killed training goes on; one pass over the data unless given."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of this machine that train together (torchrun), one for each GPU. Where a launcher has already started
    several (RANK and WORLD_SIZE are set), those count, and this is not read."""
    sharding: Literal["none", "fsdp"] = "none"
    """With several processes: each holds all weights (DDP), or a part of weights and optimizer state (FSDP)."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.early_stopping_patience is not None and self.eval_share == 0:
            raise ValueError("early_stopping_patience needs a held-out part: set eval_share, such as 0.1")
        self.share_of(self.processes)
        return self

    def share_of(self, processes: int) -> int:
        """Conversations of one forward pass of one process. Raises ValueError if the batch can't be divided so."""
        parts = processes * self.gradient_accumulation
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size {self.batch_size} can't be divided into {parts} equal parts "
                f"({processes} processes x gradient_accumulation {self.gradient_accumulation}); "
                f"take {max(parts, self.batch_size // parts * parts)}"
            )
        return self.batch_size // parts
