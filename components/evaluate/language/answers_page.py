"""The report page of a language model: the shared page with what everyone said, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluate.language.compare_words import folded, pieces
from components.evaluate.shared.compare import worse_by
from components.evaluate.shared.page import PageInputs, write_page
from delivery.documents.verdict import AnswerRow, Verdict
from training.spec import METRICS

OPEN_QUESTIONS = 12
"""Shown at once; the others are folded."""
OPEN_WORDS = 70
"""Of a text that are shown at once."""

RowScores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By question's id, role and metric: the score of one answer alone."""


@dataclass(frozen=True)
class Side:
    """One text beside the others."""

    role: str
    empty: bool
    head: list[Any]
    tail: list[Any]
    more: int
    scores: list[tuple[str, float]]


def write_text_page(
    path: Path, shared: PageInputs, scores: RowScores, labels: Mapping[str, Sequence[tuple[str, str]]]
) -> None:
    """Render and write the page. labels: of each question, by its id: name and value of the columns for slices."""
    verdict = shared.verdict
    rows = worst_first(verdict)
    shown = [
        {
            "id": row.id,
            "question": row.question,
            "labels": labels.get(row.id, ()),
            "sides": _sides(row, scores[row.id], verdict.metric),
        }
        for row in rows
    ]
    some = (
        f"A seeded sample of {len(rows)} of {verdict.rows:,} questions"
        if len(rows) < verdict.rows
        else "Every question"
    )
    write_page(
        path,
        "language/page.html.j2",
        shared,
        questions=shown,
        open_questions=OPEN_QUESTIONS,
        order=f"{some}, the candidate's worst by {verdict.metric} first.",
        tally=_tally(verdict, rows, scores),
    )


def worst_first(verdict: Verdict) -> list[AnswerRow]:
    """The verdict's answers, the candidate's worst by the metric of record first, equal ones as they come."""
    sign = 1 if METRICS["generation"][verdict.metric] == "higher" else -1
    return sorted(verdict.answers, key=lambda row: sign * row.scores[verdict.metric])


def _sides(row: AnswerRow, scores: Mapping[str, Mapping[str, float]], metric: str) -> list[Side]:
    """Reference, candidate, champion, baseline: all scores of the candidate, the metric of record of the others."""
    sides = [_side("reference", row.reference, row.candidate, [])]
    for role, text in (("candidate", row.candidate), ("champion", row.champion), ("baseline", row.baseline)):
        if text is not None:
            names = METRICS["generation"] if role == "candidate" else (metric,)
            own = [(name, scores[role][name]) for name in names if name in scores[role]]
            sides.append(_side(role, text, row.reference, own))
    return sides


def _side(role: str, text: str, other: str, scores: list[tuple[str, float]]) -> Side:
    head, tail, more = folded(pieces(text, other), OPEN_WORDS)
    return Side(role, not text.strip(), head, tail, more, scores)


def _tally(verdict: Verdict, rows: Sequence[AnswerRow], scores: RowScores) -> str:
    """On how many of the shown questions the candidate is better and worse than the champion, or than the baseline."""
    other = next((role for role in ("champion", "baseline") if verdict.contender(role)), None)
    if other is None:
        return ""
    metric = verdict.metric
    gaps = [
        float(worse_by(metric, "generation", scores[row.id]["candidate"][metric], scores[row.id][other][metric]))
        for row in rows
    ]
    better, worse = sum(gap < 0 for gap in gaps), sum(gap > 0 for gap in gaps)
    return (
        f"By {metric} the candidate is better than the {other} on {better} of these questions, worse on {worse}, and "
        f"equal on {len(gaps) - better - worse}."
    )
