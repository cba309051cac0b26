"""The tasks, and the metrics that a model of each is judged by."""

from typing import Literal

Task = Literal["regression", "classification", "generation"]

METRICS: dict[Task, dict[str, Literal["lower", "higher"]]] = {
    "regression": {"mae": "lower", "rmse": "lower", "r2": "higher", "bias": "lower", "mape": "lower"},
    "classification": {
        "accuracy": "higher",
        "balanced_accuracy": "higher",
        "precision": "higher",
        "recall": "higher",
        "f1": "higher",
        "roc_auc": "higher",
        "log_loss": "lower",
        "brier": "lower",
    },
    "generation": {
        "exact_match": "higher",
        "normalized_match": "higher",
        "token_f1": "higher",
        "rouge_l": "higher",
        "similarity": "higher",
        "perplexity": "lower",
    },
}
"""The metrics of each task and which direction is better. `bias` is judged by its absolute value. `perplexity` is of
the test rows' own answers; `similarity` needs `quality.similarity`."""
