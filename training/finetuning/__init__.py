"""Fine-tuning of a language model: LoRA or all weights, one process or many, resumed after a kill."""

from training.finetuning.options import FineTuning
from training.finetuning.run import fine_tune

__all__ = ["FineTuning", "fine_tune"]
