"""The checks that only a language model has: of what it says, how fast it says it, and what a judge thinks of it."""

import json
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from training.spec.section import Section, Share


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression, as Python's `re` reads it."""

REFUSALS = (
    r"(?i)\bI('m| am) sorry\b",
    r"(?i)\bI (can'?t|cannot|can not|am unable to|'m unable to|am not able to) (help|assist|answer|do|provide)\b",
    r"(?i)\bas an AI\b",
)


class FormatCheck(Section):
    """Every answer has a form: JSON, or the whole of it fits a regular expression."""

    kind: Literal["format"]
    json_object: bool = False
    """The answer is a JSON object, and nothing beside it."""
    pattern: Pattern | None = None
    """The whole answer fits it."""
    min_share: Share = 1.0
    """Share of the answers that must have the form."""
    required: bool = True

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.json_object == (self.pattern is not None):
            raise ValueError("give exactly one of json_object: true and pattern")
        return self

    def holds(self, answer: str) -> bool:
        """Whether one answer has the form."""
        if self.pattern is not None:
            return re.fullmatch(self.pattern, answer.strip(), re.DOTALL) is not None
        try:
            return isinstance(json.loads(answer), dict)
        except (ValueError, RecursionError):  # the second: a thousand brackets, one in the other
            return False


class ForbiddenCheck(Section):
    """Content that must not be in an answer."""

    kind: Literal["forbidden"]
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    max_share: Share = 0.0
    """Share of the answers that may have it."""
    required: bool = True


class LengthCheck(Section):
    """The answers are neither empty nor endless."""

    kind: Literal["length"]
    min_words: Annotated[int, Field(ge=0)] = 1
    max_words: Annotated[int, Field(ge=1)]
    min_share: Share = 1.0
    """Share of the answers that must keep both bounds."""
    required: bool = True

    @model_validator(mode="after")
    def _some_length_fits(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        return self


class RefusalCheck(Section):
    """How often the model declines to answer."""

    kind: Literal["refusals"]
    max_share: Share
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)] = REFUSALS
    """An answer that one of these is found in is a refusal."""
    required: bool = True


class FirstTokenCheck(Section):
    """Time from a streamed request to the first token of its answer, over the runtime's own protocol."""

    kind: Literal["first_token"]
    max_p99_ms: Annotated[float, Field(gt=0)]
    required: bool = True


class ThroughputCheck(Section):
    """Tokens of an answer per second, one request at a time, over the runtime's own protocol."""

    kind: Literal["throughput"]
    min_tokens_per_s: Annotated[float, Field(gt=0)]
    required: bool = True


class JudgeCheck(Section):
    """A language model compares the candidate's answers with another's, question by question, in both orders.

    A question that it answers otherwise in the other order is a tie. A judge that is down, slow or talks nonsense
    leaves the check undecided, and a required check that is undecided refuses the candidate.
    """

    kind: Literal["judge"]
    against: Literal["champion", "baseline"] = "champion"
    min_win_rate: Share = 0.5
    """Wins and half of the ties, of all questions; 0.5 is as good as the other."""
    min_agreement: Share | None = None
    """With the labelled pairs of `judge.labels`; a judge below it is not believed, and the check undecided."""
    required: bool = True
