"""From answers to metrics: scores of each row, and sums of them for headline, slices and bootstrap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from components.evaluate.language.contenders import ContenderAnswers
from components.evaluate.language.questions import Questions
from components.evaluate.language.scores import word_scores
from components.evaluate.shared.bootstrap import Groups, Scores, Sums, score_sums
from training.spec import METRICS

if TYPE_CHECKING:
    from components.evaluate.language.similarity import Encoder

Columns = dict[str, np.ndarray]
"""By name, a value for each row (rows,) float64: every metric of one answer alone, and `nll` and `tokens`."""


def score_rows(answers: ContenderAnswers, questions: Questions, encoder: "Encoder | None") -> Columns:
    """Each answer against its reference. ``perplexity`` of a row is exp(nll / tokens)."""
    pairs = list(zip(answers.texts, questions.references, strict=True))
    words = [word_scores(answer, reference) for answer, reference in pairs]
    columns = {name: np.array([scores[name] for scores in words]) for name in words[0]}
    if encoder is not None:
        columns["similarity"] = encoder.similarities(answers.texts, questions.references)
    columns["nll"] = np.array([likelihood.nll for likelihood in answers.likelihoods])
    columns["tokens"] = np.array([likelihood.tokens for likelihood in answers.likelihoods], dtype=np.float64)
    columns["perplexity"] = np.exp(columns["nll"] / columns["tokens"])
    return columns


def text_sums(columns: Columns, groups: Groups) -> Sums:
    """The sums of each group that :func:`text_metrics` needs, (groups,) each."""
    ones = np.ones(len(groups.index))
    parts = {"rows": ones, **{name: values for name, values in columns.items() if name != "perplexity"}}
    return {name: np.bincount(groups.index, weights=values, minlength=groups.count) for name, values in parts.items()}


def text_metrics(sums: Sums) -> dict[str, np.ndarray]:
    """Each metric for each group, (groups,): means over the rows, and ``perplexity`` = exp(Σ nll / Σ tokens); NaN for
    a group without rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: sums[name] / sums["rows"] for name in METRICS["generation"] if name in sums}
        return means | {"perplexity": np.exp(sums["nll"] / sums["tokens"])}


def score_text(columns: Columns, groups: Groups, weights: np.ndarray) -> Scores:
    """Score one contender. weights: (resamples, groups)."""
    return score_sums(text_sums(columns, groups), text_metrics, weights)


def slice_values(metric: str, everyone: Sequence[Columns], groups: Groups) -> list[np.ndarray]:
    """The metric of each contender in each group, (groups,)."""
    return [text_metrics(text_sums(columns, groups))[metric] for columns in everyone]
