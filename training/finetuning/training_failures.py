"""What goes wrong while training, in words that say what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from training.errors import OstinatoError
from training.finetuning.examples import Conversation, describe
from training.spec.fine_tuning import FineTuning


@contextmanager
def memory_explained(options: FineTuning, share: int, longest: int) -> Iterator[None]:
    """Running out of memory inside becomes an OstinatoError with the figures in use and what to lower.

    share: conversations of one forward pass; longest: tokens of the longest one.
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # PyTorch's allocator for the processor has no error class of its own.
        if type(error) is RuntimeError and "DefaultCPUAllocator" not in str(error):
            raise
        raise OstinatoError(
            f"out of memory while training: {share} conversations of up to {longest} tokens in one forward pass "
            f"(batch_size {options.batch_size} / gradient_accumulation {options.gradient_accumulation} / processes), "
            f"method {options.method}. {_advice(options, share)} ({message})"
        ) from error


def _advice(options: FineTuning, share: int) -> str:
    steps = []
    if share > 1:
        steps.append(f"raise gradient_accumulation (now {options.gradient_accumulation}) or lower batch_size")
    if not options.gradient_checkpointing:
        steps.append("set gradient_checkpointing: true")
    steps.append(f"leave out the longest conversations with a lower max_length (now {options.max_length})")
    if options.method == "full":
        steps.append("use method: lora, or sharding: fsdp over several GPUs")
    elif options.lora_rank > 8:
        steps.append(f"lower lora_rank (now {options.lora_rank})")
    return "In this order: " + "; ".join(steps) + "."


def not_finite(what: str, value: float, step: int, numbers: Sequence[int], given: Sequence[Conversation]) -> str:
    """Message for a loss or a gradient that is no number, with the conversations of the batch."""
    shown = "; ".join(f"{number}: {describe(given[number])}" for number in numbers[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return (
        f"the {what} is {value} in step {step}, so training stopped at once. Its batch: conversations {shown}{more}. "
        "Lower learning_rate or max_grad_norm, set precision: fp32, or look whether the base model's weights are whole"
    )
