"""What one answer is worth beside its reference: exact and normalized match, token F1, ROUGE-L.

An empty answer scores 0 everywhere.
"""

import re
import string
from collections import Counter

ARTICLES = re.compile(r"\b(a|an|the)\b")
WORD = re.compile(r"[^\W_]+")


def word_scores(answer: str, reference: str) -> dict[str, float]:
    """Each in [0, 1]; ``exact_match`` looks past white space at both ends only."""
    if not answer.strip():
        return dict.fromkeys(("exact_match", "normalized_match", "token_f1", "rouge_l"), 0.0)
    return {
        "exact_match": float(answer.strip() == reference.strip()),
        "normalized_match": float(normalized(answer) == normalized(reference)),
        "token_f1": token_f1(answer, reference),
        "rouge_l": rouge_l(answer, reference),
    }


def normalized(text: str) -> str:
    """SQuAD's ``normalize_answer``: lower case, without ASCII punctuation and the articles a, an, the, single spaces.

    Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250, and its evaluate-v1.1.py.
    """
    bare = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", bare).split())


def token_f1(answer: str, reference: str) -> float:
    """SQuAD's F1 of the bags of normalized words: 2PR / (P + R), P = common / answer's, R = common / reference's.

    Where one of the two has no word left it is 1 if both have none, else 0 (evaluate-v2.0.py).
    """
    mine, theirs = normalized(answer).split(), normalized(reference).split()
    if not mine or not theirs:
        return float(mine == theirs)
    common = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * common / (len(mine) + len(theirs))


def rouge_l(answer: str, reference: str) -> float:
    """F-measure of the longest common subsequence (LCS) of words: 2PR / (P + R) with P = LCS / words of the answer and
    R = LCS / words of the reference, in lower case without stemming.

    Lin 2004, https://aclanthology.org/W04-1013, with β = 1 as the package rouge-score has it; a word is a run of
    letters and digits, of any script where that package knows a to z only.
    """
    mine, theirs = WORD.findall(answer.lower()), WORD.findall(reference.lower())
    if not mine or not theirs:
        return 0.0
    return 2 * lcs_length(mine, theirs) / (len(mine) + len(theirs))


def lcs_length(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, a bit for each word of ``first`` (Hyyrö 2004, Bit-parallel LCS-length
    computation revisited): it takes len(second) steps on integers of len(first) bits."""
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    whole = (1 << len(first)) - 1
    free = whole
    for word in second:
        matches = free & places.get(word, 0)
        free = (free + matches | free - matches) & whole
    return len(first) - free.bit_count()
