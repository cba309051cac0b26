"""Evidently's page of the answers: its text descriptors and our scores, candidate beside champion.

Only descriptors that count are used: sentiment, out-of-vocabulary words and word lists need nltk's downloads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from components.evaluate.language.questions import Questions
from components.evaluate.language.scoring import Columns
from training.spec import METRICS

if TYPE_CHECKING:
    from evidently import Dataset


def write_text_report(
    path: Path,
    questions: Questions,
    rows: Sequence[int],
    candidate: tuple[Sequence[str], Columns],
    champion: tuple[Sequence[str], Columns] | None,
    json_wanted: bool,
) -> None:
    """One HTML file: current is the candidate, reference the champion. rows: positions of the sampled questions.
    candidate, champion: answers (all questions,) and their scores. json_wanted: whether a check asks for JSON."""
    from evidently import Report
    from evidently.core.metric_types import render_widgets
    from evidently.legacy.renderers.html_widgets import group_widget
    from evidently.presets import TextEvals

    current = _dataset(questions, rows, *candidate, json_wanted)
    reference = None if champion is None else _dataset(questions, rows, *champion, json_wanted)
    names = [name for name in METRICS["generation"] if name in candidate[1]]
    described = current.data_definition.numerical_descriptors + current.data_definition.categorical_descriptors
    report = Report([TextEvals(columns=[*names, *described])], include_tests=False).run(current, reference)
    title = "Candidate" if champion is None else "Candidate (current) and champion (reference) on the same questions"
    path.write_text(
        render_widgets([group_widget(title=title, widgets=report.to_snapshot_model().widgets)]), encoding="utf-8"
    )


def _dataset(
    questions: Questions, rows: Sequence[int], answers: Sequence[str], scores: Columns, json_wanted: bool
) -> "Dataset":
    from evidently import DataDefinition, Dataset
    from evidently.core.datasets import Descriptor
    from evidently.descriptors import IsValidJSON, NonLetterCharacterPercentage, SentenceCount, TextLength, WordCount

    frame = pd.DataFrame(
        {
            "question": [questions.last_user(row) for row in rows],
            "reference": [questions.references[row] for row in rows],
            "answer": [answers[row] for row in rows],
        }
    )
    names = [name for name in METRICS["generation"] if name in scores]
    for name in names:
        # Six digits: its histogram fails on values that differ in the last one only.
        frame[name] = [float(f"{scores[name][row]:.6g}") for row in rows]
    descriptors: list[Descriptor] = [
        TextLength("answer", alias="characters of the answer"),
        WordCount("answer", alias="words of the answer"),
        SentenceCount("answer", alias="sentences of the answer"),
        NonLetterCharacterPercentage("answer", alias="percent of characters that are no letters"),
    ]
    if json_wanted:
        descriptors.append(IsValidJSON("answer", alias="the answer is JSON"))
    definition = DataDefinition(text_columns=["question", "reference", "answer"], numerical_columns=names)
    return Dataset.from_pandas(frame, data_definition=definition, descriptors=descriptors)
