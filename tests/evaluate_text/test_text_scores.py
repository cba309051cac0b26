"""Metrics of answers against values computed by hand."""

import math

import numpy as np
import pytest

from components.evaluate.language.scores import lcs_length, normalized, rouge_l, token_f1, word_scores
from components.evaluate.language.scoring import text_metrics, text_sums
from components.evaluate.shared.bootstrap import Groups


def test_normalization_is_squads():
    assert normalized("The  Cat, a dog; AN owl!") == "cat dog owl"
    assert normalized("theatre") == "theatre"


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the cat sat", "a cat sat down", 2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3)),
        ("cat cat cat", "cat", 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("dog", "cat", 0.0),
        ("a", "the", 1.0),
        ("a", "cat", 0.0),
    ],
)
def test_token_f1_counts_common_words_as_often_as_both_have_them(answer, reference, f1):
    assert token_f1(answer, reference) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        # Lin 2004, section 3: LCS "police the gunman" 3 of 4, and "the gunman" 2 of 4.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("one two three four", "one three", 2 * 0.5 * 1.0 / 1.5),
        ("größe", "Größe!", 1.0),
        ("...", "words", 0.0),
    ],
)
def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence(answer, reference, value):
    assert rouge_l(answer, reference) == pytest.approx(value)


def test_the_longest_common_subsequence_is_the_one_of_the_plain_table():
    random = np.random.default_rng(1)
    for _ in range(60):
        first, second = (list(map(str, random.integers(0, 5, random.integers(1, 90)))) for _ in range(2))
        table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
        for i, mine in enumerate(first):
            for j, theirs in enumerate(second):
                longer = max(table[i][j + 1], table[i + 1][j])
                table[i + 1][j + 1] = table[i][j] + 1 if mine == theirs else longer
        assert lcs_length(first, second) == table[-1][-1]


@pytest.mark.parametrize("reference", ["The cat.", "the", "", "..."])
def test_an_empty_answer_scores_nothing(reference):
    assert set(word_scores(" \n", reference).values()) == {0.0}


def test_matches_differ_by_what_normalization_forgives():
    found = word_scores(" the Cat. ", "Cat")
    assert (found["exact_match"], found["normalized_match"]) == (0.0, 1.0)
    assert word_scores("Cat\n", "Cat")["exact_match"] == 1.0


def test_perplexity_of_several_answers_weighs_every_token_the_same():
    columns = {"exact_match": np.array([1.0, 0.0, 1.0]), "nll": np.array([2.0, 9.0, 1.0])}
    columns |= {"tokens": np.array([2.0, 3.0, 5.0]), "perplexity": np.exp([1.0, 3.0, 0.2])}
    found = text_metrics(text_sums(columns, Groups(np.array([0, 0, 1]), 3)))
    assert found["perplexity"][:2] == pytest.approx([math.exp(11 / 5), math.exp(1 / 5)])
    assert found["exact_match"][:2] == pytest.approx([0.5, 1.0])
    assert np.isnan(found["perplexity"][2]) and np.isnan(found["exact_match"][2])
