"""Answers questions of one domain: a small instruction-tuned model, fine-tuned on conversations."""

from collections.abc import Sequence
from pathlib import Path

from training.finetuning import FineTuning, fine_tune

Hyperparameters = FineTuning


def train(
    conversations: Sequence[Sequence[dict[str, str]]],
    base: Path,
    hyperparameters: Hyperparameters,
    seed: int,
    work: Path,
) -> Path:
    """Fine-tune the base model; returns the folder of the model or of the adapter, or the base itself (prompt)."""
    return fine_tune(conversations, base, hyperparameters, seed, work)
