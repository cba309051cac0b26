"""Nothing is taught twice, and nothing that is asked in the test was trained."""

from math import ceil

import pytest
from preprocess.talks import Talks, rows, say, turns

from components.preprocess.language.near_duplicates import SHORT, NearDuplicates, normal, similarity, words_of

LOOSE = {"max_refused": 0.5}
ASKED = "How often does the main valve of the pump need a drop of oil"


def text(*words: object) -> str:
    return " ".join(map(str, words))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is it?", "where  IS\tit"),
        ("Run `pump start` now!", "run pump-start NOW"),
        ("\uff30\uff55\uff4d\uff50 \ufb01lter", "pump filter"),
        ("Stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
    ],
)
def test_spelling_does_not_make_another_question(one: str, other: str) -> None:
    assert normal(one) == normal(other)


def test_other_signs_make_another_question() -> None:
    assert normal("2 + 2") != normal("2 = 2")
    assert normal("?!") != normal("...")
    assert normal("\u0915\u093f\u0924\u093e\u092c") != normal("\u0915\u0924\u092c"), "vowel signs are no punctuation"


def test_a_repeated_conversation_is_refused_after_the_first(talks: Talks) -> None:
    talks.save([*rows(40), say("Valve0: leaks0, WATER0?", "turn the valve 0 times"), say("other", "Yes.")])
    card = talks.run(**LOOSE)
    assert (card.train.rows, card.refused_by_reason) == (41, {"repeats an earlier row": 1})
    assert talks.refused["_row"].to_list() == [41]


def test_a_nearly_repeated_question_with_the_same_answer_is_refused(talks: Talks) -> None:
    talks.save([*rows(40), say(ASKED, "Weekly."), say(ASKED.replace("often", "frequently"), "weekly")])
    assert talks.run(**LOOSE).refused_by_reason == {"nearly repeats an earlier row": 1}
    assert talks.train.height == 41


def test_a_like_question_with_another_answer_is_kept(talks: Talks) -> None:
    talks.save([*rows(40), say(ASKED, "Weekly."), say(ASKED.replace("valve", "hose"), "Never.")])
    card = talks.run()
    assert (card.refused, card.warnings) == (0, ())


def test_the_same_question_under_another_instruction_is_no_repetition_and_no_conflict(talks: Talks) -> None:
    pair = ("user", "Where?"), ("assistant", "There.")
    other = ("user", "Where?"), ("assistant", "L\u00e0.")
    told = (("English", pair), ("English, kindly", pair), ("French", other))
    talks.save([*rows(5), *(turns(("system", said), *asked) for said, asked in told)])
    card = talks.run()
    assert (card.refused, card.warnings) == (0, ())


def test_fixed_questions_are_not_asked_twice(talks: Talks) -> None:
    talks.save([*rows(10, first=100), rows(1, first=100)[0]], "questions.jsonl")
    card = talks.run(**LOOSE)
    assert (card.test.rows, card.refused_by_reason) == (10, {"repeats an earlier row": 1})


def test_a_training_row_with_the_questions_of_a_test_row_is_refused_whatever_its_answer(talks: Talks) -> None:
    talks.save([*rows(5), say("valve108 LEAKS108 water108?", "Call somebody."), *rows(34, first=5)])
    card = talks.run(**LOOSE)
    assert (card.train.rows, card.test.rows) == (39, 10)
    assert card.refused_by_reason == {"a test row has its questions": 1}
    assert talks.refused["_row"].to_list() == [6]


@pytest.mark.parametrize(("threshold", "kept"), [(0.8, 39), (0.9, 40)])
def test_a_training_row_with_nearly_the_questions_of_a_test_row_is_refused(
    talks: Talks, threshold: float, kept: int
) -> None:
    talks.save([*rows(10, first=100), say(ASKED, "Weekly.")], "questions.jsonl")
    talks.save([*rows(39), say(ASKED.replace("often", "frequently"), "Once a week.")])
    card = talks.run(**LOOSE, near_duplicate=threshold)
    assert card.train.rows == kept
    assert card.refused_by_reason == ({"a test row has nearly its questions": 1} if kept == 39 else {})


def test_a_split_leaves_no_near_question_on_the_other_side(talks: Talks) -> None:
    long = [text(*(f"w{number}x{i}" for i in range(30))) for number in range(40)]
    talks.save(row for number, asked in enumerate(long) for row in (say(asked, "a"), say(f"{asked} {number}", "b")))
    card = talks.run(split={"by": "key", "test": 0.5}, **LOOSE)
    for trained in talks.asked(talks.train):
        assert all(similarity(trained.split(), tested.split()) < 0.8 for tested in talks.asked(talks.test))
    assert card.refused_by_reason["a test row has nearly its questions"] == card.refused > 0


def test_a_training_row_with_the_key_of_a_fixed_question_is_refused(talks: Talks) -> None:
    talks.save([{**row, "pump": f"p{number}"} for number, row in enumerate(rows(40))])
    talks.save([{**row, "pump": "p3"} for row in rows(10, first=100)], "questions.jsonl")
    assert talks.run(key="pump", **LOOSE).refused_by_reason == {"pump: a test row has it": 1}


def test_two_answers_to_one_question_are_told_in_the_card(talks: Talks) -> None:
    talks.save([*rows(5), say("Where?", "There."), say("where", "Here."), say("Where!", "Nowhere.")])
    (warning,) = talks.run().warnings
    assert warning.startswith("1 question(s) have different answers in the training rows")
    assert "talks.jsonl, line 6 and" in warning
    assert warning.endswith("talks.jsonl, line 7")
    assert talks.train.height == 8


def test_short_texts_are_compared_by_words_and_long_ones_by_runs_of_three() -> None:
    words = [f"w{number}" for number in range(SHORT)]
    other = [*words[:10], "x", *words[11:]]
    assert similarity(words[1:], other[1:]) == pytest.approx(18 / 20)
    assert similarity(words, other) == pytest.approx(15 / 21)
    assert similarity(words, words[::-1]) == 0
    assert similarity(words, words[1:]) == pytest.approx(19 / 20), "by words, since one of them is short"


def test_chinese_and_japanese_are_compared_by_characters() -> None:
    asked = words_of(normal("\u6cf5\u7684\u9600\u95e8\u5728\u54ea\u91cc"))
    other = words_of(normal("\u6cf5\u7684\u9600\u95e8\u5728\u54ea\u513f"))
    assert similarity(asked, other) == pytest.approx(6 / 8)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_a_pair_at_the_threshold_is_found_and_one_below_is_not(threshold: float) -> None:
    length = 200
    shared = ceil(threshold * (length - 2)) + 2
    for trial in range(50):
        words = [f"{trial}/{number}" for number in range(length)]
        at, below = NearDuplicates(threshold), NearDuplicates(threshold)
        at.add(7, words[:shared])
        below.add(7, words[: shared - 1])
        assert (at.find(words), below.find(words)) == (7, None)
