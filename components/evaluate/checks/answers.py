"""The checks of what a language model says: form, forbidden content, length, refusals, and a judge's opinion."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Literal

from delivery.documents.numbers import percent, short, shortened
from delivery.documents.verdict import CheckResult, JudgeReport
from training.spec.model import ForbiddenCheck, FormatCheck, JudgeCheck, LengthCheck, RefusalCheck

Answers = Sequence[tuple[str, str]]
"""The candidate's: id of the question, and what was said."""
QUOTES = str.maketrans("‘’‛′“”‟", "''''\"\"\"")
EXAMPLE_CHARS = 100


def judge_format(check: FormatCheck, answers: Answers) -> CheckResult:
    form = "JSON object" if check.json_object else "pattern"
    bad = [row for row in answers if not check.holds(row[1])]
    what = "are a JSON object" if check.json_object else f"fit the pattern {shortened(check.pattern or '', 60)}"
    return _at_least("format: " + form, "format", check, answers, bad, what)


def judge_length(check: LengthCheck, answers: Answers) -> CheckResult:
    """Words are what white space separates."""

    def beyond(text: str) -> int:
        words = len(text.split())
        return max(check.min_words - words, words - check.max_words)

    bad = sorted((row for row in answers if beyond(row[1]) > 0), key=lambda row: -beyond(row[1]))
    bounds = f"{check.min_words} to {check.max_words} words"
    return _at_least(f"length: {bounds}", "length", check, answers, bad, f"have {bounds}")


def judge_forbidden(check: ForbiddenCheck, answers: Answers) -> CheckResult:
    return _at_most("forbidden content", "forbidden", check, answers, "hold what is forbidden")


def judge_refusals(check: RefusalCheck, answers: Answers) -> CheckResult:
    return _at_most("refusals", "refusals", check, answers, "decline to answer")


def plain(text: str) -> str:
    """The text as a reader sees it: compatibility forms as ordinary letters (NFKC), invisible format characters gone,
    straight quotes. Patterns are searched here as well as in the text itself, so that full-width letters count."""
    visible = (one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")
    return "".join(visible).translate(QUOTES)


def _first_match(patterns: Sequence[str], text: str) -> str | None:
    """The first pattern that is found, or None."""
    seen = (text, plain(text))
    return next((one for one in patterns if any(re.search(one, form) for form in seen)), None)


def _at_most(
    name: str,
    kind: Literal["forbidden", "refusals"],
    check: ForbiddenCheck | RefusalCheck,
    answers: Answers,
    what: str,
) -> CheckResult:
    hits = [(row, pattern) for row in answers if (pattern := _first_match(check.patterns, row[1])) is not None]
    share = len(hits) / len(answers)
    demand = "none may" if check.max_share == 0 else f"at most {percent(check.max_share)} may"
    reason = f"{len(hits)} of {len(answers)} answers {what} ({percent(share)}); {demand}."
    if hits:
        row, pattern = hits[0]
        reason += f" The first, found by {shortened(pattern, 60)}, is to {_quoted(row)}."
    return _shares(name, kind, check, share, check.max_share, "<=", reason)


def _at_least(
    name: str,
    kind: Literal["format", "length"],
    check: FormatCheck | LengthCheck,
    answers: Answers,
    bad: Answers,
    what: str,
) -> CheckResult:
    """what: the good answers do. bad: those that do not, the worst first."""
    share = 1 - len(bad) / len(answers)
    demand = "all must" if check.min_share == 1 else f"at least {percent(check.min_share)} must"
    reason = f"{len(answers) - len(bad)} of {len(answers)} answers {what}; {demand}."
    if bad:
        word = "The farthest off" if kind == "length" else "The first that does not"
        reason += f" {word} is to {_quoted(bad[0])}."
    return _shares(name, kind, check, share, check.min_share, ">=", reason)


def _quoted(row: tuple[str, str]) -> str:
    name, text = row
    return f"question {name}: " + (f"“{shortened(text, EXAMPLE_CHARS)}”" if text.strip() else "an empty answer")


def _shares(
    name: str, kind: Any, check: Any, share: float, bound: float, comparison: Literal["<=", ">="], reason: str
) -> CheckResult:
    holds: Callable[[float], bool] = bound.__ge__ if comparison == "<=" else bound.__le__
    return CheckResult(
        name=name,
        kind=kind,
        observed=share,
        bound=bound,
        comparison=comparison,
        unit="share of answers",
        status="passed" if holds(share) else "failed",
        required=check.required,
        reason=reason,
    )


def judge_check(check: JudgeCheck, report: JudgeReport | None) -> CheckResult:
    """Wins and half of the ties of all questions. Questions without a usable answer could have gone either way: where
    that decides, and where the judge can't be believed, the check is undecided. report: None without a champion."""
    common: dict[str, Any] = {
        "name": f"judge against {check.against}",
        "kind": "judge",
        "bound": check.min_win_rate,
        "comparison": ">=",
        "unit": "win rate",
        "required": check.required,
    }
    if report is None:
        assert check.against == "champion", "the spec refuses a judge against a baseline that is not there"
        reason = "There is no champion yet, so there is nothing to compare with."
        return CheckResult(**common, observed=None, status="not applicable", reason=reason)
    doubt = _why_not_believed(check, report)
    if doubt:
        return CheckResult(
            **common, observed=report.win_rate, status="undecided", reason=f"Nobody could decide: {doubt}."
        )
    points = report.wins + report.ties / 2
    least, most = points / report.questions, (points + report.unanswered) / report.questions
    status = "passed" if least >= check.min_win_rate else "failed" if most < check.min_win_rate else "undecided"
    reason = (
        f"{report.model} preferred the candidate {report.wins} times and the {check.against} {report.losses} times in "
        f"{report.questions} questions, {report.ties} tied: a win rate of {short(least)}"
        f"{f' to {short(most)}' if report.unanswered else ''}; at least {short(check.min_win_rate)} is demanded."
    )
    if status == "undecided":
        reason += f" The {report.unanswered} without a usable answer would decide."
    return CheckResult(**common, observed=least, status=status, reason=reason)


def _why_not_believed(check: JudgeCheck, report: JudgeReport) -> str:
    if report.failure:
        return report.failure.rstrip(".")
    if report.questions == 0 or report.win_rate is None:
        return f"{report.model} gave no usable answer to {report.questions} questions"
    if check.min_agreement is None:
        return ""
    if report.agreement is None:
        return f"{report.model} was tried on no labelled pair; {percent(check.min_agreement)} agreement is demanded"
    if report.agreement < check.min_agreement:
        return (
            f"{report.model} agrees with {percent(report.agreement)} of the {report.labelled} pairs that "
            f"{report.labelled_by or 'people'} labelled; at least {percent(check.min_agreement)} is demanded"
        )
    return ""
