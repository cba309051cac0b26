"""The step of a language model: who is better on the same questions, and what refuses."""

import dataclasses
import json
from typing import Any

import polars as pl
import pytest
from evaluate_text.conftest import ANSWERS, CHECKS, conversation
from kfp import dsl

from components.evaluate.component import evaluate
from components.evaluate.language.answer_prompts import GeneratedAnswer
from components.evaluate.language.contenders import ContenderAnswers
from components.evaluate.language.likelihood import Likelihood
from components.evaluate.language.questions import Questions
from components.evaluate.language.steps import AnsweredQuestions, collect_warnings
from delivery.documents.sample import Sample
from delivery.documents.verdict import Verdict
from training.errors import InputError, OstinatoError
from training.spec import QualitySpec
from training.spec.argument import texts_digest

BY_WORDS = [{"kind": "absolute", "metric": "token_f1", "min": 0.8}]
QUALITY = ["token_f1 at least 0.8", "token_f1 against champion", "rouge_l by topic"]


def metrics(verdict, role):
    found = verdict.contender(role)
    assert found
    return {name: measure.value for name, measure in found.metrics.items()}


def test_a_model_that_learned_the_answers_beats_base_and_champion(better):
    assert metrics(better.verdict, "candidate")["exact_match"] == 1.0
    assert metrics(better.verdict, "champion")["token_f1"] < 0.3
    assert metrics(better.verdict, "baseline")["perplexity"] > metrics(better.verdict, "champion")["perplexity"]
    states = {check.name: check.status for check in better.verdict.checks}
    assert set(states.values()) == {"passed"} and len(states) == len(CHECKS) + 1
    assert better.verdict.decision == "pass" and "The candidate may replace version 7." in better.page


def test_a_model_that_learned_shuffled_answers_is_rejected(worse):
    assert worse.verdict.decision == "reject"
    assert [worse.status(name) for name in QUALITY] == ["failed"] * 3
    assert {check.name for check in worse.verdict.refusals} >= set(QUALITY)
    assert worse.verdict.differences["token_f1"].high < 0 < worse.verdict.differences["perplexity"].low
    assert all(one.worse for one in worse.verdict.slices) and len(worse.verdict.slices) == 2


def test_the_verdict_has_every_answer_and_its_scores(worse):
    rows = {row.id: row for row in worse.verdict.answers}
    assert list(rows) == worse.case.ids
    for row, (question, (reference, _)) in zip(rows.values(), ANSWERS.items(), strict=True):
        assert (row.question, row.reference, row.champion) == (question, reference, reference)
        assert row.candidate != reference and row.baseline is not None
        assert row.scores.keys() == metrics(worse.verdict, "candidate").keys()
    mean = sum(row.scores["token_f1"] for row in rows.values()) / len(rows)
    assert mean == pytest.approx(metrics(worse.verdict, "candidate")["token_f1"])


def test_the_sample_of_the_proof_asks_what_was_answered_offline(better):
    sample = Sample.read(better.case.root / "sample.json")
    assert better.verdict.served and better.verdict.served.sample_digest == sample.digest()
    assert sample.task == "generation" and sample.tolerance == 0.25 and sample.decoding.max_new_tokens == 24
    prompts: Any = sample.columns["messages"]
    asked = {messages[-1]["content"]: said for messages, said in zip(prompts, sample.expected, strict=True)}
    assert asked == {question: answer for question, (answer, _) in ANSWERS.items()}
    assert sample.model_digest == better.verdict.contender("candidate").digest


def test_an_answer_that_was_cut_is_a_warning(better):
    assert any("answers of the baseline" in one and "cut at 24 tokens" in one for one in better.verdict.warnings)
    assert not any("tokenizer" in one for one in better.verdict.warnings)


def test_without_a_champion_its_checks_are_not_applicable_and_equal_input_gives_an_equal_verdict(case):
    checks = [*BY_WORDS, {"kind": "champion", "metric": "token_f1"}, {"kind": "judge"}]
    judge = {"url": "http://127.0.0.1:9/v1", "model": "nobody", "rubric": "better"}
    found = case.run(case.models.good, checks=checks, judge=judge)
    states = {check.name: check.status for check in found.checks}
    assert states["token_f1 against champion"] == states["judge against champion"] == "not applicable"
    assert found.judges == () and found.differences == {} and found.contender("champion") is None
    again = case.run(case.models.good, checks=checks, judge=judge)
    for one in ("contenders", "answers", "slices"):
        assert getattr(found, one) == getattr(again, one)


def test_similarity_is_measured_where_an_encoder_is_named(case):
    """The encoder is a real one, of a few layers that nobody trained: equal texts are still equal."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = case.root / "training" / "a_model" / "encoder"
    tokenizer = AutoTokenizer.from_pretrained(case.models.base)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    check = {"kind": "absolute", "metric": "similarity", "min": 0.999}
    found = case.run(case.models.good, metric="similarity", checks=[check], similarity={"source": "./encoder"})
    assert metrics(found, "candidate")["similarity"] == pytest.approx(1.0)
    assert next(iter(found.checks)).status == "passed"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": "hello"}], "has the roles user;"),
        ([{"role": "assistant", "content": "hello"}], "has the roles assistant;"),
    ],
)
def test_a_row_that_has_no_question_with_its_answer_is_named(case, messages, words):
    case.write([conversation("a", "b"), messages], ["x", "y"])
    with pytest.raises(InputError, match=f"test row {case.ids[1]} {words}"):
        case.run(case.models.good, checks=BY_WORDS)


def test_a_slice_column_that_is_not_there_is_named(case):
    check = {"kind": "slice", "column": "topik", "metric": "token_f1", "min": 0.5}
    with pytest.raises(InputError, match=r"quality.checks.0.column is 'topik'.*Did you mean 'topic'"):
        case.run(case.models.good, checks=[check])


def test_rows_that_changed_after_preprocess_are_refused(case):
    path = case.root / "data" / "test.parquet"
    pl.read_parquet(path).head(3).write_parquet(path)
    with pytest.raises(OstinatoError, match="the test rows changed after preprocess"):
        case.run(case.models.good, checks=BY_WORDS)


def test_a_champion_that_is_no_language_model_is_never_beaten_by_default(case, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(
        OstinatoError, match=r"the champion \(version 7\) is no language model.*never beaten by default"
    ):
        case.run(case.models.good, tmp_path / "other", checks=BY_WORDS)


def test_a_perplexity_that_is_no_number_is_an_error_that_names_the_row(case, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(case.models.good, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    words = f"perplexity of the candidate is NaN or infinite for 12 of 12 .*test row {case.ids[0]} .*learning_rate"
    with pytest.raises(OstinatoError, match=words):
        case.run(broken, checks=BY_WORDS)


def test_the_component_judges_what_is_said_and_a_judge_that_is_down_refuses(case, monkeypatch):
    """The component hands KFP the decision and the metrics, and no curves."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    out = case.root / "out"
    out.mkdir()
    kinds = {"verdict": dsl.Artifact, "report": dsl.HTML, "evidently": dsl.HTML, "metrics": dsl.Metrics}
    kinds |= {"curves": dsl.ClassificationMetrics, "sample": dsl.Artifact, "summary": dsl.Markdown}
    outputs = {name: kind(name=name, uri=str(out / name)) for name, kind in kinds.items()}
    judge = {"url": "http://127.0.0.1:9/v1", "model": "nobody", "rubric": "better", "timeout_s": 1}
    checks = [*BY_WORDS, {"kind": "judge"}]
    given = case.given(case.models.good, case.models.shuffled, checks=checks, judge=judge)
    inputs = {"data": dsl.Dataset(uri=str(given.pop("data")))}
    inputs |= {name: dsl.Model(uri=str(given.pop(name))) for name in ("candidate", "champion")}
    texts = [given[name] for name in ("data_spec", "quality_spec", "serving_spec", "base_model")]
    (decision,) = evaluate.python_func(texts=texts_digest(texts), **given, **inputs, **outputs)
    verdict = Verdict.read(out / "verdict")
    assert decision == verdict.decision == outputs["verdict"].metadata["decision"] == "reject"
    assert [(check.kind, check.status) for check in verdict.refusals] == [("judge", "undecided")]
    assert verdict.judges[0].failure and "judge_champion_win_rate" not in outputs["metrics"].metadata
    found = outputs["metrics"].metadata
    for one in verdict.contenders:
        assert found[f"{one.role}_token_f1"] == one.metrics["token_f1"].value
    assert "confusionMatrix" not in json.loads((out / "curves").read_text())
    assert {path.name for path in out.iterdir()} == {*outputs}


def test_an_answer_that_changes_when_it_is_asked_alone_is_a_warning():
    questions = Questions(("q0", "q1"), ([], []), ("a", "b"), pl.DataFrame())
    answers = (GeneratedAnswer("a", True), GeneratedAnswer("b", True))
    said = ContenderAnswers("the candidate", answers, (Likelihood(1.0, 1),) * 2, None, ("a", "other"))
    quality = QualitySpec.model_validate({"metric": "token_f1", "checks": BY_WORDS})
    heard = AnsweredQuestions(questions, (), {"candidate": said}, {}, "")
    assert [one[:62] for one in collect_warnings(heard, quality)] == [
        "1 of 2 sampled questions are answered in other words when they"
    ]
    same = AnsweredQuestions(questions, (), {"candidate": dataclasses.replace(said, alone=("a", "b"))}, {}, "")
    assert collect_warnings(same, quality) == ()
