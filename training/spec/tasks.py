"""The tasks: a row each. What its models answer with decides what else fits: data, checks, runtimes, proofs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["regression", "classification", "generation"]
Answers = Literal["numbers", "classes", "texts"]


@dataclass(frozen=True)
class TaskRow:
    answers: Answers
    """What a model gives for a row of a table, or for a conversation (texts)."""
    metrics: Mapping[str, Literal["lower", "higher"]]
    """The metrics that a model is judged by and which direction is better. `bias` is judged by its absolute value.
    `perplexity` is of the test rows' own answers; `similarity` needs `quality.similarity`."""

    @property
    def is_language_model(self) -> bool:
        return self.answers == "texts"


TASKS: Mapping[str, TaskRow] = {
    "regression": TaskRow(
        answers="numbers", metrics={"mae": "lower", "rmse": "lower", "r2": "higher", "bias": "lower", "mape": "lower"}
    ),
    "classification": TaskRow(
        answers="classes",
        metrics={
            "accuracy": "higher",
            "balanced_accuracy": "higher",
            "precision": "higher",
            "recall": "higher",
            "f1": "higher",
            "roc_auc": "higher",
            "log_loss": "lower",
            "brier": "lower",
        },
    ),
    "generation": TaskRow(
        answers="texts",
        metrics={
            "exact_match": "higher",
            "normalized_match": "higher",
            "token_f1": "higher",
            "rouge_l": "higher",
            "similarity": "higher",
            "perplexity": "lower",
        },
    ),
}
METRICS = {task: row.metrics for task, row in TASKS.items()}
