"""The page of a language model shows who said what, and obeys nothing that anybody said."""

import re

import pytest
from harness.html_pages import Balanced
from harness.verdicts import check, judge_report

from components.evaluate.language.answers_page import OPEN_QUESTIONS, worst_first, write_text_page
from components.evaluate.language.compare_words import folded, pieces
from components.evaluate.shared.page import PageInputs
from delivery.documents.data_card import DataCard
from delivery.documents.verdict import AnswerRow, Behaviour, Streaming

EVIL = "<script>alert('x')</script> & <img src=x onerror=alert(1)>"


@pytest.fixture
def shown(worse, tmp_path):
    """Renders the verdict of the worse candidate with some fields changed."""

    def render(**changed):
        verdict = worse.verdict.model_copy(update=changed)
        card = DataCard.read(worse.case.root / "data" / "data.json")
        roles = ("candidate", "champion", "baseline")
        scores = {row.id: dict.fromkeys(roles, row.scores) for row in verdict.answers}
        path = tmp_path / "page.html"
        write_text_page(path, PageInputs(verdict, card, {}, evidently_link="evidently.html"), scores, {})
        return path.read_text()

    return render


def text_of(page):
    return " ".join(Balanced(page).text.split())


def test_every_question_is_shown_with_what_everyone_said(worse):
    text = text_of(worse.page)
    assert "REJECT" in text and "required checks failed" in text
    for row in worse.verdict.answers:
        for said in (row.id, row.question, row.reference, row.candidate, row.champion):
            assert " ".join(said.split()) in text
    assert f"worse on {len(worse.verdict.answers)}" in text and "topic: music" in text


def test_the_worst_by_the_metric_of_record_comes_first(worse, shown):
    scored = [row.model_copy(update={"scores": {"token_f1": i / 20}}) for i, row in enumerate(worse.verdict.answers)]
    page = shown(answers=tuple(reversed(scored)))
    places = [page.index(f'id="q-{row.id}"') for row in scored]
    assert places == sorted(places)
    by_perplexity = worse.verdict.model_copy(update={"metric": "perplexity"})
    worst = [row.scores["perplexity"] for row in worst_first(by_perplexity)]
    assert worst == sorted(worst, reverse=True)


def test_whatever_was_said_is_escaped(worse, shown):
    row = worse.verdict.answers[0].model_copy(
        update=dict.fromkeys(("question", "reference", "candidate", "champion", "baseline"), EVIL)
    )
    judge = judge_report(model=EVIL, labelled_by=EVIL, failure=EVIL)
    page = shown(answers=(row,), judges=(judge,))
    assert "<script" not in page and "<img" not in page
    assert text_of(page).count("alert('x')") >= 5


def test_the_page_needs_nothing_from_outside(worse):
    assert Balanced(worse.page).addresses == ["evidently.html"]
    assert not re.search(r"https?://|@import|url\(|<script", worse.page)


def test_long_answers_and_many_questions_are_folded(worse, shown):
    first = worse.verdict.answers[0]
    many = [first.model_copy(update={"id": f"{i:016x}", "candidate": "word " * 200}) for i in range(OPEN_QUESTIONS + 3)]
    text = text_of(shown(answers=tuple(many), rows=500))
    assert "130 more words" in text and "3 more questions" in text
    assert f"A seeded sample of {len(many)} of 500 questions" in text


def test_an_empty_answer_is_called_so(worse, shown):
    row = worse.verdict.answers[0].model_copy(update={"candidate": " "})
    assert "(an empty answer)" in text_of(shown(answers=(row,)))


def test_the_judge_is_shown_with_its_agreement_and_who_made_the_labels(shown):
    report = judge_report(losses=2, unanswered=1, agreement=0.875, labelled=16, labelled_by="two of us")
    text = text_of(shown(judges=(report,)))
    assert "5 wins, 2 ties, 2 losses, 1 without a usable answer" in text and "1 of 2 ties" in text
    assert "87.5 % of 16 labelled pairs (labels by two of us)" in text


def test_an_undecided_check_is_shown_as_such_and_refuses(worse, shown):
    undecided = check("judge against champion", "undecided", "Nobody could decide: it is down.", observed=None)
    text = text_of(shown(checks=(undecided,), judges=(judge_report(failure="it is down"),)))
    assert "1 required check is undecided. The candidate does not go live." in text
    assert "? undecided" in text and "The judge is not believed: it is down" in text
    optional = text_of(shown(checks=(undecided.model_copy(update={"required": False}),)))
    assert "undecided, not required" in optional


def test_behaviours_and_streaming_are_in_the_serving_section(worse, shown):
    streaming = Streaming(first_token_p50_ms=120, first_token_p99_ms=340, tokens_per_s=41.5, calls=16)
    behaviours = (
        Behaviour(name="stop", held=True, reason="It ended."),
        Behaviour(name="errors", held=False, reason="No."),
    )
    known = {"failure": "", "worst_difference": 0.125, "cold_start_s": 9.0}
    served = worse.verdict.served.model_copy(update={**known, "streaming": streaming, "behaviours": behaviours})
    text = text_of(shown(served=served))
    assert "1 of 2 promises of the protocol held" in text and "41.5 tokens a second" in text
    assert "12.5 % of the questions are answered in other words" in text


def marked(text, other):
    return [piece.text for piece in pieces(text, other) if piece.differs]


def test_words_that_the_other_text_lacks_are_marked_whatever_their_case_and_punctuation():
    assert marked("The gate says No, always.", "the gate says: no") == ["always."]
    assert marked("it was a very good day", "it was a day") == ["very good"]
    assert marked("", "word") == [] and "".join(p.text for p in pieces("a\n b  c", "b")) == "a\n b  c"


def test_folding_loses_no_word():
    head, tail, more = folded(pieces("one two\nthree " * 50, "two"), 60)
    assert "".join(piece.text for piece in (*head, *tail)) == "one two\nthree " * 50
    assert more == 90 and sum(len(piece.text.split()) for piece in head) == 60


def test_a_text_of_endless_repetition_is_compared_in_no_time():
    long = pieces("again and again " * 5_000, "again or never " * 5_000)
    assert sum(len(piece.text) for piece in long) == len("again and again " * 5_000)


def test_evidentlys_page_has_the_descriptors_and_our_scores(worse):
    text = (worse.case.root / "evidently.html").read_text()
    assert "Candidate (current) and champion (reference) on the same questions" in text
    for name in (
        "words of the answer",
        "characters of the answer",
        "sentences of the answer",
        "token_f1",
        "perplexity",
    ):
        assert name in text


def test_a_question_is_an_answer_row_of_the_verdict(worse):
    assert all(isinstance(row, AnswerRow) for row in worse.verdict.answers)
