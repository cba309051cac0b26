"""Checks of the served model: that it answers as it was judged, how fast, how soon, and how large it is."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from training.spec.checks.check import QualityCheck
from training.spec.tasks import TASKS, Answers, Task


class ServableCheck(QualityCheck):
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
        return {"onnx": 1e-4, "huggingface": 0.25, "vLLM": 0.25}.get(model_format, 1e-9)

    def rows_for(self, task: Task) -> int:
        """Size of the sample, by the task unless it is stated."""
        return self.rows or (16 if TASKS[task].is_language_model else 500)


class LatencyCheck(QualityCheck):
    """Time of a one-row request to the runtime over its own protocol, in milliseconds."""

    answers: ClassVar[tuple[Answers, ...]] = ("numbers", "classes")
    replacement: ClassVar[str] = "use first_token or throughput"
    kind: Literal["latency"]
    max_p99_ms: Annotated[float, Field(gt=0)]
    """99 of 100 requests may take no longer."""
    max_p50_ms: Annotated[float, Field(gt=0)] | None = None
    """Half of the requests may take no longer."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Requests at a time, each on a connection of its own."""
    required: bool = True


class ColdStartCheck(QualityCheck):
    """Time from the start of the runtime's process to its first inference answered, in seconds."""

    kind: Literal["cold_start"]
    max_s: Annotated[float, Field(gt=0)]
    required: bool = True


class SizeCheck(QualityCheck):
    """Size of the model folder in MiB."""

    kind: Literal["size"]
    max_mib: Annotated[float, Field(gt=0)]
    required: bool = True


class FirstTokenCheck(QualityCheck):
    """Time from a streamed request to the first token of its answer, over the runtime's own protocol."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
    kind: Literal["first_token"]
    max_p99_ms: Annotated[float, Field(gt=0)]
    required: bool = True


class ThroughputCheck(QualityCheck):
    """Tokens of an answer per second, one request at a time, over the runtime's own protocol."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
    kind: Literal["throughput"]
    min_tokens_per_s: Annotated[float, Field(gt=0)]
    required: bool = True
