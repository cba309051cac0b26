"""The evaluate step of a language model, from top to bottom: read, answer, score, serve, check, decide, show."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.evaluate.checks.decide import decide, judge
from components.evaluate.language.contenders import Said, ask, ask_base, open_entrant
from components.evaluate.language.evidently_report import write_text_report
from components.evaluate.language.opinions import ask_judge
from components.evaluate.language.page import write_text_page
from components.evaluate.language.rows import Questions, read_questions
from components.evaluate.language.scoring import Columns, score_rows, score_text, slice_values
from components.evaluate.shared.bootstrap import draw, random_groups
from components.evaluate.shared.contender import Entrant, has_champion
from components.evaluate.shared.page import Shared
from components.evaluate.shared.rows import check_rows, sample_positions
from components.evaluate.shared.scored import Evidence
from components.evaluate.shared.slices import judge_slices
from components.evaluate.shared.summary import contender_rows, paired_changes, paired_differences
from delivery.documents.data_card import DATA_CARD_FILE, TEST_FILE, DataCard
from delivery.documents.sample import Sample
from delivery.documents.verdict import AnswerRow, JudgeReport, Verdict
from delivery.serving.proof.prove import prove
from training.folder import model_folder, workspace_root
from training.spec.model import METRICS, BaseModelSpec, ConversationSpec, FormatCheck, QualitySpec, ServingSpec

SHOWN_ANSWERS = 200
"""Of the questions, in the verdict; a seeded sample where there are more."""


@dataclass(frozen=True)
class Heard:
    """What everyone said to the same questions, and the score of every answer."""

    questions: Questions
    models: tuple[Entrant, ...]
    """The candidate, and the champion where there is one."""
    said: dict[str, Said]
    """By role: candidate, champion, baseline; those that there are."""
    scores: dict[str, Columns]
    """By role."""
    baseline_name: str

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        return {role: said.texts for role, said in self.said.items()}


def evaluate_text(
    model: str,
    data_spec: str,
    quality_spec: str,
    serving_spec: str,
    base_model: str,
    champion_version: str,
    spec_digest: str,
    code: str,
    data: Path,
    candidate: Path,
    champion: Path,
    verdict_file: Path,
    report_file: Path,
    evidently_file: Path,
    sample_file: Path,
    evidently_link: str = "evidently.html",
) -> Verdict:
    """Judge what the candidate says against the champion and the base model on the same questions, and prove that it
    can be served; write verdict, reports and the sample of the proof.

    base_model: canonical JSON of the spec's ``training.base_model``. The others as for
    :func:`components.evaluate.table.step.evaluate`. Raises InputError for questions that can't be asked,
    OstinatoError for a model that can't be judged.
    """
    quality, serving = QualitySpec.model_validate_json(quality_spec), ServingSpec.model_validate_json(serving_spec)
    card = DataCard.read(data / DATA_CARD_FILE)
    check_rows(data / TEST_FILE, card)
    contract = ConversationSpec.model_validate_json(data_spec)
    questions = read_questions(data / TEST_FILE, contract, quality)
    heard = hear(model, questions, quality, serving, base_model, candidate, champion, champion_version)
    evidence = gather_evidence(model, quality, heard)
    sample = draw_sample(model, quality, serving, heard)
    sample.write(sample_file)
    served = prove(candidate, sample, serving, [1])
    checks = judge(quality, evidence, served)
    verdict = Verdict(
        model=model,
        task="generation",
        decision=decide(checks),
        metric=quality.metric,
        direction=METRICS["generation"][quality.metric],
        confidence=quality.confidence,
        rows=questions.count,
        sample_rows=min(questions.count, quality.sample_rows),
        contenders=contender_rows(model, heard.models, heard.baseline_name, evidence),
        differences=paired_differences(evidence),
        checks=checks,
        slices=tuple(one for found in evidence.slices.values() for one in found),
        served=served,
        answers=answer_rows(heard),
        judges=tuple(evidence.judges.values()),
        data_fingerprint=card.fingerprint,
        spec_digest=spec_digest,
        code=code,
        warnings=(*card.warnings, *warnings(heard, quality)),
    )
    verdict.write(verdict_file)
    write_evidently(evidently_file, heard, quality)
    shared = Shared(verdict, card, paired_changes(evidence), evidently_link=evidently_link)
    write_text_page(report_file, shared, scores_by_id(heard), labels_by_id(questions))
    return verdict


def hear(
    model: str,
    questions: Questions,
    quality: QualitySpec,
    serving: ServingSpec,
    base_model: str,
    candidate: Path,
    champion: Path,
    version: str,
) -> Heard:
    """Let everyone answer the same questions, one model in memory at a time, and score every answer."""
    models = [open_entrant(candidate, Entrant("candidate", "", "", candidate))]
    if has_champion(champion, version):
        models.append(open_entrant(champion, Entrant("champion", version, "", champion)))
    said: dict[str, Said] = {}
    for one in models:
        sampled = sampled_rows(questions, quality) if one.role == "candidate" else ()
        said[one.role] = ask(one, questions, quality.decoding, serving.engine, sampled)
    name = ""
    if quality.baseline:
        spec = BaseModelSpec.model_validate_json(base_model)
        name = quality.baseline.name or f"base model {spec.source}"
        folder, tokenizer = base_folder(spec, model), said["candidate"].tokenizer
        said["baseline"] = ask_base(folder, tokenizer, questions, quality.decoding, serving.engine)
    encoder = None
    if quality.similarity:
        from components.evaluate.language.similarity import Encoder

        encoder = Encoder(base_folder(quality.similarity, model))
    scores = {role: score_rows(one, questions, encoder) for role, one in said.items()}
    return Heard(questions, tuple(models), said, scores, name)


def base_folder(spec: BaseModelSpec, model: str) -> Path:
    """Where the files of a base model or an encoder are on this machine."""
    from delivery.stores.base_model import fetch_base_model

    return fetch_base_model(spec, model_folder(workspace_root(), model))


def gather_evidence(model: str, quality: QualitySpec, heard: Heard) -> Evidence:
    """Score everyone with the same resamples of the questions, and ask the judge where a check does."""
    groups = random_groups(heard.questions.count)
    weights = draw(groups.count)
    scores = {role: score_text(columns, groups, weights) for role, columns in heard.scores.items()}
    compared = [heard.scores[one.role] for one in heard.models]
    judges: dict[str, JudgeReport] = {}
    if quality.judge is not None:
        judges = ask_judge(quality, heard.questions, heard.texts, model_folder(workspace_root(), model))
    return Evidence(
        task="generation",
        confidence=quality.confidence,
        candidate=scores["candidate"],
        champion=scores.get("champion"),
        baseline=scores.get("baseline"),
        slices=judge_slices(
            quality,
            "generation",
            heard.questions.labels,
            lambda metric, slices: slice_values(metric, compared, slices.groups),
        ),
        answers=tuple(zip(heard.questions.ids, heard.said["candidate"].texts, strict=True)),
        judges=judges,
    )


def draw_sample(model: str, quality: QualitySpec, serving: ServingSpec, heard: Heard) -> Sample:
    """Seeded questions with what the candidate answered to each alone, for the proof: a server is asked one by one."""
    rows = sampled_rows(heard.questions, quality)
    return Sample(
        model=model,
        task="generation",
        model_digest=heard.models[0].digest,
        columns={"messages": tuple([dict(one) for one in heard.questions.prompts[row]] for row in rows)},
        expected=heard.said["candidate"].alone,
        tolerance=quality.servable.tolerance_for(serving.model_format),
        decoding=quality.decoding,
    )


def sampled_rows(questions: Questions, quality: QualitySpec) -> list[int]:
    """Positions of the seeded questions of the proof."""
    return sample_positions(questions.count, quality.servable.rows_for("generation")).tolist()


def answer_rows(heard: Heard) -> tuple[AnswerRow, ...]:
    """Every question, or a seeded sample of 200, in the order of the test rows."""
    questions, texts = heard.questions, heard.texts
    others = {role: texts.get(role) for role in ("champion", "baseline")}
    return tuple(
        AnswerRow(
            id=questions.ids[row],
            question=questions.last_user(row),
            reference=questions.references[row],
            candidate=texts["candidate"][row],
            **{role: said[row] for role, said in others.items() if said is not None},
            scores=_row(heard.scores["candidate"], row),
        )
        for row in sample_positions(questions.count, SHOWN_ANSWERS).tolist()
    )


def scores_by_id(heard: Heard) -> dict[str, dict[str, dict[str, float]]]:
    """By question's id, role and metric."""
    return {
        name: {role: _row(columns, row) for role, columns in heard.scores.items()}
        for row, name in enumerate(heard.questions.ids)
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


def warnings(heard: Heard, quality: QualitySpec) -> tuple[str, ...]:
    """What a reviewer should know that no check says."""
    found: list[str] = []
    for role, said in heard.said.items():
        if said.cut:
            found.append(
                f"{said.cut} of {heard.questions.count} answers of {said.called} were cut at "
                f"{quality.decoding.max_new_tokens} tokens (quality.decoding.max_new_tokens)"
            )
        rows = sampled_rows(heard.questions, quality) if said.alone else []
        flipped = sum(said.texts[row] != one for row, one in zip(rows, said.alone, strict=True))
        if flipped:
            found.append(
                f"{flipped} of {len(rows)} sampled questions are answered in other words when they are asked alone: "
                "rounding differs with the batch; serving.engine.dtype float32 rounds less"
            )
        if role == "champion" and _tokens(said) != _tokens(heard.said["candidate"]):
            found.append(
                "the champion's tokenizer cuts the reference answers otherwise than the candidate's: perplexity is per "
                "token, so theirs can't be compared"
            )
    return tuple(found)


def _tokens(said: Said) -> list[int]:
    return [one.tokens for one in said.likelihoods]


def write_evidently(path: Path, heard: Heard, quality: QualitySpec) -> None:
    """Evidently's page on a seeded sample of the questions."""
    rows = sample_positions(heard.questions.count, quality.sample_rows).tolist()
    both: Mapping[str, tuple[tuple[str, ...], Columns]] = {
        role: (said.texts, heard.scores[role]) for role, said in heard.said.items()
    }
    wants_json = any(isinstance(check, FormatCheck) and check.json_object for check in quality.checks)
    write_text_report(path, heard.questions, rows, both["candidate"], both.get("champion"), wants_json)
