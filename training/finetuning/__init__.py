"""Fine-tuning of a language model: LoRA or all weights, one process or many, resumed after a kill."""

from training.finetuning.training_run import fine_tune
from training.spec.fine_tuning import FineTuning

__all__ = ["FineTuning", "fine_tune"]
