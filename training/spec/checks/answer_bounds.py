"""Checks of what a language model says: form, forbidden content, length, refusals."""

import json
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from training.spec.checks.check import QualityCheck
from training.spec.section import Share
from training.spec.tasks import Answers


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


class FormatCheck(QualityCheck):
    """Every answer has a form: JSON, or the whole of it fits a regular expression."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
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


class ForbiddenCheck(QualityCheck):
    """Content that must not be in an answer."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
    kind: Literal["forbidden"]
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    max_share: Share = 0.0
    """Share of the answers that may have it."""
    required: bool = True


class LengthCheck(QualityCheck):
    """The answers are neither empty nor endless."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
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


class RefusalCheck(QualityCheck):
    """How often the model declines to answer."""

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
    kind: Literal["refusals"]
    max_share: Share
    patterns: Annotated[tuple[Pattern, ...], Field(min_length=1)] = REFUSALS
    """An answer that one of these is found in is a refusal."""
    required: bool = True
