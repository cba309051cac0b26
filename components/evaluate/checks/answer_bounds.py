"""What a language model says: form, forbidden content, length, refusals."""

import re
import unicodedata
from collections.abc import Sequence

from components.evaluate.checks.demand import Demand
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import percent, shortened
from delivery.documents.verdict import CheckResult
from training.spec import ForbiddenCheck, FormatCheck, LengthCheck, RefusalCheck

Answers = Sequence[tuple[str, str]]
"""The candidate's: id of the question, and the answer."""
QUOTES = str.maketrans("‘’‛′“”‟", "''''\"\"\"")
EXAMPLE_CHARS = 100


def evaluate_format(check: FormatCheck, measured: Measured) -> CheckResult:
    """The share of the answers that have the form."""
    answers = measured.scored.answers
    bad = [row for row in answers if not check.holds(row[1])]
    form = "JSON object" if check.json_object else "pattern"
    goal = "are a JSON object" if check.json_object else f"fit the pattern {shortened(check.pattern or '', 60)}"
    return _at_least(check, f"format: {form}", answers, bad, goal, "The first that does not")


def evaluate_length(check: LengthCheck, measured: Measured) -> CheckResult:
    """Words are what white space separates."""

    def beyond(text: str) -> int:
        words = len(text.split())
        return max(check.min_words - words, words - check.max_words)

    answers = measured.scored.answers
    bad = sorted((row for row in answers if beyond(row[1]) > 0), key=lambda row: -beyond(row[1]))
    bounds = f"{check.min_words} to {check.max_words} words"
    return _at_least(check, f"length: {bounds}", answers, bad, f"have {bounds}", "The farthest off")


def evaluate_forbidden(check: ForbiddenCheck, measured: Measured) -> CheckResult:
    """The share of the answers that a pattern is found in."""
    return _at_most(check, "forbidden content", measured.scored.answers, "hold what is forbidden")


def evaluate_refusals(check: RefusalCheck, measured: Measured) -> CheckResult:
    """The share of the answers that a pattern is found in."""
    return _at_most(check, "refusals", measured.scored.answers, "decline to answer")


def plain(text: str) -> str:
    """The text as a reader sees it: compatibility forms as ordinary letters (NFKC), invisible format characters gone,
    straight quotes. Patterns are searched here as well as in the text itself, so that full-width letters count."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return "".join(visible).translate(QUOTES)


def _first_match(patterns: Sequence[str], text: str) -> str | None:
    """The first pattern that is found, or None."""
    forms = (text, plain(text))
    return next((pattern for pattern in patterns if any(re.search(pattern, form) for form in forms)), None)


def _at_most(check: ForbiddenCheck | RefusalCheck, name: str, answers: Answers, offence: str) -> CheckResult:
    hits = [(row, pattern) for row in answers if (pattern := _first_match(check.patterns, row[1])) is not None]
    share = len(hits) / len(answers)
    limit = "none may" if check.max_share == 0 else f"at most {percent(check.max_share)} may"
    reason = f"{len(hits)} of {len(answers)} answers {offence} ({percent(share)}); {limit}."
    if hits:
        row, pattern = hits[0]
        reason += f" The first, found by {shortened(pattern, 60)}, is to {_quoted(row)}."
    return Demand(check, name, check.max_share, "<=", "share of answers").result(share, reason)


def _at_least(
    check: FormatCheck | LengthCheck, name: str, answers: Answers, bad: Answers, goal: str, example: str
) -> CheckResult:
    """goal: what the good answers do. bad: those that do not, the worst first."""
    share = 1 - len(bad) / len(answers)
    limit = "all must" if check.min_share == 1 else f"at least {percent(check.min_share)} must"
    reason = f"{len(answers) - len(bad)} of {len(answers)} answers {goal}; {limit}."
    if bad:
        reason += f" {example} is to {_quoted(bad[0])}."
    return Demand(check, name, check.min_share, ">=", "share of answers").result(share, reason)


def _quoted(row: tuple[str, str]) -> str:
    name, text = row
    return f"question {name}: " + (f"“{shortened(text, EXAMPLE_CHARS)}”" if text.strip() else "an empty answer")
