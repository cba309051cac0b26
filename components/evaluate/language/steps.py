"""Assessing a language model: read, answer, score; and its pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.evaluate.language.answers_page import write_text_page
from components.evaluate.language.contenders import ContenderAnswers, ask, ask_base, open_entrant
from components.evaluate.language.evidently_report import write_text_report
from components.evaluate.language.judge import ask_judge
from components.evaluate.language.questions import Questions, read_questions
from components.evaluate.language.scoring import Columns, score_rows, score_text, slice_values
from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from components.evaluate.shared.bootstrap import draw, random_groups
from components.evaluate.shared.contender import Entrant, entrants
from components.evaluate.shared.page import PageInputs
from components.evaluate.shared.rows import sample_positions
from components.evaluate.shared.scored import Assessed, ScoredContenders
from components.evaluate.shared.slices import measure_slices
from delivery.documents.sample import Sample
from delivery.documents.verdict import AnswerRow, JudgeReport
from training.folder import model_folder, workspace_root
from training.spec import METRICS, BaseModelSpec, ConversationSpec, FormatCheck, QualitySpec

SHOWN_ANSWERS = 200
"""Of the questions, in the verdict; a seeded sample where there are more."""


@dataclass(frozen=True)
class AnsweredQuestions:
    """What everyone answered to the same questions, and the score of every answer."""

    questions: Questions
    models: tuple[Entrant, ...]
    """The candidate, and the champion where there is one."""
    answers: dict[str, ContenderAnswers]
    """By role: candidate, champion, baseline; those that there are."""
    scores: dict[str, Columns]
    """By role."""
    baseline_name: str

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        return {role: answers.texts for role, answers in self.answers.items()}


def assess_answers(inputs: EvaluateInputs) -> Assessed:
    """Score what candidate, champion and base model answer to the same questions.

    Raises InputError for questions that can't be asked, OstinatoError for a model that can't be judged.
    """
    quality = inputs.quality
    contract = ConversationSpec.model_validate_json(inputs.data_spec)
    questions = read_questions(inputs.test_file, contract, quality)
    answered = answer_questions(inputs, questions)

    def write_pages(outputs: EvaluateOutputs, shared: PageInputs) -> None:
        write_evidently(outputs.evidently, answered, quality)
        write_text_page(outputs.report, shared, scores_by_id(answered), labels_by_id(questions))

    warnings = (*inputs.card.warnings, *collect_warnings(answered, quality))
    return Assessed(
        answered.models,
        answered.baseline_name,
        score_contenders(inputs.model, quality, answered),
        draw_sample(inputs, answered),
        questions.count,
        {"answers": answer_rows(answered), "warnings": warnings},
        write_pages,
    )


def answer_questions(inputs: EvaluateInputs, questions: Questions) -> AnsweredQuestions:
    """Let everyone answer the same questions, one model in memory at a time, and score every answer."""
    quality, engine = inputs.quality, inputs.serving.engine
    models = [open_entrant(entrant) for entrant in entrants(inputs)]
    answers: dict[str, ContenderAnswers] = {}
    for entrant in models:
        sampled = sampled_rows(questions, quality) if entrant.role == "candidate" else ()
        answers[entrant.role] = ask(entrant, questions, quality.decoding, engine, sampled)
    name = ""
    if quality.baseline:
        spec = BaseModelSpec.model_validate_json(inputs.base_model)
        name = quality.baseline.name or f"base model {spec.source}"
        folder, tokenizer = base_folder(spec, inputs.model), answers["candidate"].tokenizer
        answers["baseline"] = ask_base(folder, tokenizer, questions, quality.decoding, engine)
    encoder = None
    if quality.similarity:
        from components.evaluate.language.similarity import Encoder

        encoder = Encoder(base_folder(quality.similarity, inputs.model))
    scores = {role: score_rows(own, questions, encoder) for role, own in answers.items()}
    return AnsweredQuestions(questions, tuple(models), answers, scores, name)


def base_folder(spec: BaseModelSpec, model: str) -> Path:
    """Where the files of a base model or an encoder are on this machine."""
    from delivery.stores.base_model import fetch_base_model

    return fetch_base_model(spec, model_folder(workspace_root(), model))


def score_contenders(model: str, quality: QualitySpec, answered: AnsweredQuestions) -> ScoredContenders:
    """Score everyone with the same resamples of the questions, and ask the judge where a check does."""
    questions = answered.questions
    groups = random_groups(questions.count)
    weights = draw(groups.count)
    scores = {role: score_text(columns, groups, weights) for role, columns in answered.scores.items()}
    compared = [answered.scores[entrant.role] for entrant in answered.models]
    judges: dict[str, JudgeReport] = {}
    if quality.judge is not None:
        judges = ask_judge(quality, questions, answered.texts, model_folder(workspace_root(), model))
    return ScoredContenders(
        task="generation",
        confidence=quality.confidence,
        candidate=scores["candidate"],
        champion=scores.get("champion"),
        baseline=scores.get("baseline"),
        slices=measure_slices(
            quality,
            "generation",
            questions.labels,
            lambda metric, slices: slice_values(metric, compared, slices.groups),
        ),
        answers=tuple(zip(questions.ids, answered.answers["candidate"].texts, strict=True)),
        judges=judges,
    )


def draw_sample(inputs: EvaluateInputs, answered: AnsweredQuestions) -> Sample:
    """Seeded questions with what the candidate answered to each alone, for the proof: a server is asked one by one."""
    rows = sampled_rows(answered.questions, inputs.quality)
    return Sample(
        model=inputs.model,
        task="generation",
        model_digest=answered.models[0].digest,
        columns={"messages": tuple([dict(turn) for turn in answered.questions.prompts[row]] for row in rows)},
        expected=answered.answers["candidate"].alone,
        tolerance=inputs.tolerance,
        decoding=inputs.quality.decoding,
    )


def sampled_rows(questions: Questions, quality: QualitySpec) -> list[int]:
    """Positions of the seeded questions of the proof."""
    return sample_positions(questions.count, quality.servable.rows_for("generation")).tolist()


def answer_rows(answered: AnsweredQuestions) -> tuple[AnswerRow, ...]:
    """Every question, or a seeded sample of 200, in the order of the test rows."""
    questions, texts = answered.questions, answered.texts
    others = {role: texts.get(role) for role in ("champion", "baseline")}
    return tuple(
        AnswerRow(
            id=questions.ids[row],
            question=questions.last_user(row),
            reference=questions.references[row],
            candidate=texts["candidate"][row],
            **{role: answers[row] for role, answers in others.items() if answers is not None},
            scores=_row(answered.scores["candidate"], row),
        )
        for row in sample_positions(questions.count, SHOWN_ANSWERS).tolist()
    )


def scores_by_id(answered: AnsweredQuestions) -> dict[str, dict[str, dict[str, float]]]:
    """By question's id, role and metric."""
    return {
        name: {role: _row(columns, row) for role, columns in answered.scores.items()}
        for row, name in enumerate(answered.questions.ids)
    }


def labels_by_id(questions: Questions) -> dict[str, list[tuple[str, str]]]:
    """By question's id, name and value of each label."""
    import polars as pl

    known = {column.name: column.cast(pl.String).to_list() for column in questions.labels}
    return {
        name: [(column, values[row]) for column, values in known.items() if values[row] is not None]
        for row, name in enumerate(questions.ids)
    }


def _row(columns: Columns, row: int) -> dict[str, float]:
    return {name: float(columns[name][row]) for name in METRICS["generation"] if name in columns}


def collect_warnings(answered: AnsweredQuestions, quality: QualitySpec) -> tuple[str, ...]:
    """What a reviewer should know that no check says."""
    warnings: list[str] = []
    for role, answers in answered.answers.items():
        if answers.cut:
            warnings.append(
                f"{answers.cut} of {answered.questions.count} answers of {answers.called} were cut at "
                f"{quality.decoding.max_new_tokens} tokens (quality.decoding.max_new_tokens)"
            )
        rows = sampled_rows(answered.questions, quality) if answers.alone else []
        flipped = sum(answers.texts[row] != text for row, text in zip(rows, answers.alone, strict=True))
        if flipped:
            warnings.append(
                f"{flipped} of {len(rows)} sampled questions are answered in other words when they are asked alone: "
                "rounding differs with the batch; serving.engine.dtype float32 rounds less"
            )
        if role == "champion" and _tokens(answers) != _tokens(answered.answers["candidate"]):
            warnings.append(
                "the champion's tokenizer cuts the reference answers otherwise than the candidate's: perplexity is per "
                "token, so theirs can't be compared"
            )
    return tuple(warnings)


def _tokens(answers: ContenderAnswers) -> list[int]:
    return [likelihood.tokens for likelihood in answers.likelihoods]


def write_evidently(path: Path, answered: AnsweredQuestions, quality: QualitySpec) -> None:
    """Evidently's page on a seeded sample of the questions."""
    rows = sample_positions(answered.questions.count, quality.sample_rows).tolist()
    both: Mapping[str, tuple[tuple[str, ...], Columns]] = {
        role: (answers.texts, answered.scores[role]) for role, answers in answered.answers.items()
    }
    wants_json = any(isinstance(check, FormatCheck) and check.json_object for check in quality.checks)
    write_text_report(path, answered.questions, rows, both["candidate"], both.get("champion"), wants_json)
