"""The part of a spec that says when a candidate is good enough: metrics, checks, baseline."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.generation import BaseModelSpec, Decoding, JudgeSpec
from training.spec.section import Section, Share
from training.spec.text_checks import (
    FirstTokenCheck,
    ForbiddenCheck,
    FormatCheck,
    JudgeCheck,
    LengthCheck,
    RefusalCheck,
    ThroughputCheck,
)

Task = Literal["regression", "classification", "generation"]


class AbsoluteCheck(Section):
    """The candidate's metric, bounded by a number."""

    kind: Literal["absolute"]
    metric: str
    max: float | None = None
    min: float | None = None
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.max is None) == (self.min is None):
            raise ValueError("give exactly one of max and min")
        return self


class RelativeCheck(Section):
    """The candidate against the champion or the baseline, on the same rows.

    Holds when the paired interval's unfavourable end is no worse than the other's value by more than the
    margin: `margin: 0.02` allows 2 % worse, `margin: -0.2` demands 20 % better.
    """

    kind: Literal["champion", "baseline"]
    metric: str
    margin: Annotated[float, Field(gt=-1, lt=10)] = 0.0
    """Relative to the other's value; negative demands an improvement."""
    required: bool = True


class SliceCheck(Section):
    """The metric in every group of rows with the same value of a column."""

    kind: Literal["slice"]
    column: str
    """A column of the test rows with few values."""
    metric: str
    max: float | None = None
    min: float | None = None
    champion_margin: Annotated[float, Field(gt=-1, lt=10)] | None = None
    """How much worse than the champion, relatively, a slice may be."""
    min_rows: Annotated[int, Field(ge=1)] = 30
    """Slices with fewer rows are listed but not judged."""
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.max, self.min, self.champion_margin)) != 1:
            raise ValueError("give exactly one of max, min and champion_margin")
        return self


class DriftCheck(Section):
    """Share of input columns whose distribution moved between the training rows and the test rows."""

    kind: Literal["drift"]
    max_share: Share
    required: bool = True


class LatencyCheck(Section):
    """Time of a one-row request to the runtime over its own protocol, in milliseconds."""

    kind: Literal["latency"]
    max_p99_ms: Annotated[float, Field(gt=0)]
    """99 of 100 requests may take no longer."""
    max_p50_ms: Annotated[float, Field(gt=0)] | None = None
    """Half of the requests may take no longer."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Requests at a time, each on a connection of its own."""
    required: bool = True


class ColdStartCheck(Section):
    """Time from the start of the runtime's process to its first inference answered, in seconds."""

    kind: Literal["cold_start"]
    max_s: Annotated[float, Field(gt=0)]
    required: bool = True


class SizeCheck(Section):
    """Size of the model folder in MiB."""

    kind: Literal["size"]
    max_mib: Annotated[float, Field(gt=0)]
    required: bool = True


class ServableCheck(Section):
    """The runtime loads the model in a fresh process and answers a seeded sample of the test rows as it did offline.
    A language model answers over the OpenAI protocol, whose behaviours are checked too.

    Every verdict has this check, and it is always required; name it to change its numbers.
    """

    kind: Literal["servable"]
    rows: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Size of the sample, fewer where there are fewer test rows; 500 unless given, for a language model 16."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Largest relative difference of a served number from the offline one; 1e-9 unless given, 1e-4 where the runtime
    gets an ONNX export, whose sums have 32 bits. Classes must be equal. For a language model the share of questions
    that may be answered in other words, 0.25 unless given: another batch size or kernel rounds otherwise, and one
    token that flips changes the rest."""

    def tolerance_for(self, model_format: str) -> float:
        """The stated tolerance, or the default of a model format (``serving.model_format``)."""
        if self.tolerance is not None:
            return self.tolerance
        return {"onnx": 1e-4, "huggingface": 0.25, "vllm": 0.25}.get(model_format, 1e-9)

    def rows_for(self, task: Task) -> int:
        """Size of the sample, by the task unless it is stated."""
        return self.rows or (16 if task == "generation" else 500)


Check = Annotated[
    AbsoluteCheck
    | RelativeCheck
    | SliceCheck
    | DriftCheck
    | LatencyCheck
    | ColdStartCheck
    | SizeCheck
    | ServableCheck
    | FormatCheck
    | ForbiddenCheck
    | LengthCheck
    | RefusalCheck
    | FirstTokenCheck
    | ThroughputCheck
    | JudgeCheck,
    Field(discriminator="kind"),
]
OF_TABLES = (DriftCheck, LatencyCheck)
OF_TEXT = (FormatCheck, ForbiddenCheck, LengthCheck, RefusalCheck, FirstTokenCheck, ThroughputCheck, JudgeCheck)

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


class Baseline(Section):
    """What anyone could do without a model; it has its own row in the verdict."""

    kind: Literal["column", "mean", "majority", "base_model"]
    """`column`: predict the value of a column (seasonal naive is a lag of the target); `mean` and `majority`: of the
    training rows' target; `base_model`: a language model's base, not fine-tuned, with the candidate's prompt."""
    column: str | None = None
    name: str = ""
    """How the verdict calls it, such as `seasonal naive`."""

    @model_validator(mode="after")
    def _column_given(self) -> Self:
        if (self.kind == "column") != (self.column is not None):
            raise ValueError("a baseline of kind column needs a column, the others take none")
        return self


class QualitySpec(Section):
    """When a candidate is good enough to replace the champion."""

    metric: str
    """The metric of record: the headline of every report."""
    baseline: Baseline | None = None
    checks: tuple[Check, ...] = Field(min_length=1)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the bootstrap intervals."""
    sample_rows: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    """Cap of the seeded sample that the Evidently report sees; headline metrics always use every row."""
    decoding: Decoding = Decoding()
    """Of a language model."""
    similarity: BaseModelSpec | None = None
    """The sentence encoder behind the metric `similarity`."""
    judge: JudgeSpec | None = None
    """The language model behind a check of kind `judge`."""

    @property
    def servable(self) -> ServableCheck:
        """The one check that every verdict has."""
        return next((one for one in self.checks if isinstance(one, ServableCheck)), ServableCheck(kind="servable"))

    @model_validator(mode="after")
    def _servable_once(self) -> Self:
        if sum(isinstance(one, ServableCheck) for one in self.checks) > 1:
            raise ValueError("checks: servable is named twice; name it once")
        return self
