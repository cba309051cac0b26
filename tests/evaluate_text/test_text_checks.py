"""Each check of a language model passes and fails where it says, and gives a reason with an example."""

import pytest
from harness.measured import measured
from harness.verdicts import judge_report, proof

from components.evaluate.checks.decide import decide, evaluate_check
from delivery.documents.verdict import Behaviour, Streaming
from training.spec import (
    FirstTokenCheck,
    ForbiddenCheck,
    FormatCheck,
    JudgeCheck,
    LengthCheck,
    RefusalCheck,
    ServableCheck,
    ThroughputCheck,
)


def answers(*texts):
    return measured(answers=tuple((f"q{i}", text) for i, text in enumerate(texts)))


def test_json_is_an_object_and_nothing_beside_it():
    check = FormatCheck(kind="format", json_object=True, min_share=0.5)
    bad = ['{"a": 1} done', "[1]", "", "{" * 50_000, "[" * 50_000]
    assert evaluate_check(check, answers('{"a": 1}', '{"b": {}}')).status == "passed"
    found = evaluate_check(check, answers('{"a": 1}', *bad))
    assert found.status == "failed" and found.observed == pytest.approx(1 / 6)
    assert "1 of 6 answers are a JSON object; at least 50 % must." in found.reason
    assert 'question q1: “{"a": 1} done”' in found.reason


def test_a_pattern_must_fit_the_whole_answer():
    check = FormatCheck(kind="format", pattern=r"[a-z]+\.")
    assert evaluate_check(check, answers("yes.", " no. ")).status == "passed"
    found = evaluate_check(check, answers("yes.", "yes. Ignore the pattern: yes."))
    assert found.status == "failed" and "q1" in found.reason and found.bound == 1.0


def test_the_answer_farthest_from_the_bounds_of_length_is_shown():
    check = LengthCheck(kind="length", min_words=2, max_words=4, min_share=0.5)
    assert evaluate_check(check, answers("two words", "and four of them")).status == "passed"
    found = evaluate_check(check, answers("two words", "five of them is many", "one", "a b c d e f g h"))
    assert found.status == "failed" and found.observed == 0.25
    assert "1 of 4 answers have 2 to 4 words" in found.reason and "farthest off is to question q3" in found.reason


def test_an_empty_answer_is_too_short_and_called_empty():
    found = evaluate_check(LengthCheck(kind="length", max_words=9), answers("fine", " "))
    assert found.status == "failed" and "question q1: an empty answer" in found.reason


@pytest.mark.parametrize("hidden", ["pass\u200bword", "ｐａｓｓｗｏｒｄ", "PASSWORD", "x password y"])
def test_forbidden_content_is_found_also_where_it_is_hidden(hidden):
    check = ForbiddenCheck(kind="forbidden", patterns=("(?i)password",))
    found = evaluate_check(check, answers("fine", hidden))
    assert found.status == "failed" and found.observed == 0.5 and "(?i)password" in found.reason
    assert evaluate_check(check, answers("fine", "passing words")).status == "passed"


def test_refusals_are_found_with_any_apostrophe_and_may_be_some():
    some = answers("Yes.", "I’m sorry, no.", "I can't help with that.", "Use make.")
    assert evaluate_check(RefusalCheck(kind="refusals", max_share=0.5), some).status == "passed"
    found = evaluate_check(RefusalCheck(kind="refusals", max_share=0.49), some)
    assert found.status == "failed" and "2 of 4 answers decline to answer (50 %); at most 49 % may" in found.reason


def judged(check, opinion):
    return evaluate_check(check, measured(judges={"champion": opinion}))


@pytest.mark.parametrize(
    ("bound", "changed", "status", "words"),
    [
        (0.6, {}, "passed", "a win rate of 0.6;"),
        (0.61, {}, "failed", "at least 0.61 is demanded"),
        (0.5, {"unanswered": 1, "ties": 1}, "passed", "0.55 to 0.65"),
        (0.6, {"unanswered": 1, "ties": 1}, "undecided", "The 1 without a usable answer would decide"),
        (0.7, {"unanswered": 1, "ties": 1}, "failed", "0.55 to 0.65"),
        (0.5, {"failure": "it did not answer"}, "undecided", "Nobody could decide: it did not answer."),
        (0.0, {"wins": 0, "losses": 0, "ties": 0, "unanswered": 10}, "undecided", "no usable answer"),
    ],
)
def test_the_judges_wins_and_half_of_the_ties_must_reach_the_bound(bound, changed, status, words):
    found = judged(JudgeCheck(kind="judge", min_win_rate=bound), judge_report(**changed))
    assert found.status == status and words in found.reason
    assert decide([found]) == ("pass" if status == "passed" else "reject")
    optional = found.model_copy(update={"required": False})
    assert decide([optional]) == "pass"


@pytest.mark.parametrize(("agreement", "status"), [(0.8, "passed"), (0.79, "undecided"), (None, "undecided")])
def test_a_judge_that_disagrees_with_people_is_not_believed(agreement, status):
    check = JudgeCheck(kind="judge", min_agreement=0.8)
    found = judged(check, judge_report(agreement=agreement, labelled=20, labelled_by="the owners"))
    assert found.status == status
    if agreement == 0.79:
        assert "79 % of the 20 pairs that the owners labelled; at least 80 %" in found.reason


def test_without_a_champion_there_is_nothing_to_judge_against():
    found = evaluate_check(JudgeCheck(kind="judge"), measured())
    assert found.status == "not applicable" and decide([found]) == "pass"


def served(**changed):
    given = {"protocol": "openai", "rows": 16, "worst_difference": 0.125, "tolerance": 0.25, "size_bytes": 1}
    return measured(proof(**{**given, **changed}), task="generation")


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({}, "passed", "12.5 % of them with other words, at most 25 % may"),
        ({"worst_difference": 0.3125}, "failed", "31.2 % of them with other words; at most 25 % may"),
        ({"behaviours": (Behaviour(name="stop", held=False, reason="It went on."),)}, "failed", "in stop: It went on."),
        ({"behaviours": (Behaviour(name="stop", held=True, reason="It ended."),)}, "passed", "as it was judged"),
    ],
)
def test_other_words_are_tolerated_up_to_a_share_and_every_behaviour_must_hold(changed, status, words):
    found = evaluate_check(ServableCheck(kind="servable"), served(**changed))
    assert found.status == status and words in found.reason


def test_streaming_has_its_bounds_included_and_what_was_not_measured_fails():
    streaming = Streaming(first_token_p50_ms=5, first_token_p99_ms=9, tokens_per_s=40, calls=8)
    first, rate = (FirstTokenCheck(kind="first_token", max_p99_ms=one) for one in (9, 8.9)), (40, 40.1)
    assert [evaluate_check(one, served(streaming=streaming)).status for one in first] == ["passed", "failed"]
    checks = [ThroughputCheck(kind="throughput", min_tokens_per_s=one) for one in rate]
    assert [evaluate_check(one, served(streaming=streaming)).status for one in checks] == ["passed", "failed"]
    missing = evaluate_check(checks[0], served(worst_difference=None, failure="no such file"))
    assert missing.status == "failed" and "r does not serve the model" in missing.reason
