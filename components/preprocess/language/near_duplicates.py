"""Which texts are the same but for spelling, and which but for a few words.

The same: equal after :func:`normal`. Nearly: :func:`similarity`, the Jaccard index of the sets of their words, from a
threshold on. Candidates come from MinHash signatures in bands (Broder, SEQUENCES 1997; the library datasketch) and
every one is then compared exactly, so nothing is called a duplicate by chance; a pair just at the threshold is
overlooked with a chance below :data:`OVERLOOKED`. Everything is seeded: equal texts give equal answers.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from training.llm_extra import need_llm_extra

if TYPE_CHECKING:
    from datasketch import MinHash

PERMUTATIONS = 128
OVERLOOKED = 1e-3
SHORT = 20
"""Texts with fewer words are compared by words, longer ones by runs of three, for long texts share words anyway."""

# Scripts without spaces between words, Japanese kana and Chinese characters: each character counts as a word.
_WORD = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


class _Blanks(dict[int, int]):
    """Punctuation, and marks such as the backtick, become a space; worked out when a character is first met."""

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        self[code] = ord(" ") if category[0] == "P" or category == "Sk" else code
        return self[code]


_BLANKS = _Blanks()


def normal(text: str) -> str:
    """NFKC, casefolded, punctuation and whitespace collapsed to single spaces; a text of punctuation alone stays."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_BLANKS).split()) or folded.strip()


def words_of(text: str) -> list[str]:
    """The words of a text that :func:`normal` made."""
    return _WORD.findall(text)


def similarity(first: Sequence[str], other: Sequence[str]) -> float:
    """Jaccard index, 0 to 1, of the words of two texts, or of their runs of three if neither is shorter than
    :data:`SHORT`."""
    width = 3 if min(len(first), len(other)) >= SHORT else 1
    left, right = _runs(first, width), _runs(other, width)
    return len(left & right) / len(left | right)


def _runs(words: Sequence[str], width: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + width]) for start in range(len(words) - width + 1)}


class NearDuplicates:
    """Texts, by number, in which one that is nearly another can be found."""

    def __init__(self, threshold: float) -> None:
        """``threshold``: the similarity from which two texts are the same. Raises InputError without datasketch."""
        self._threshold = threshold
        self._words: dict[int, list[str]] = {}
        self._index = _lsh(threshold)
        self._empty = _datasketch().MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=_stable_hash)

    def add(self, number: int, words: list[str]) -> None:
        self._words[number] = words
        self._index.insert(number, self._signature(words))

    def find(self, words: list[str]) -> int | None:
        """The smallest number of a text that is near enough."""
        near = sorted(self._index.query(self._signature(words)))
        return next((number for number in near if similarity(self._words[number], words) >= self._threshold), None)

    def _signature(self, words: list[str]) -> "MinHash":
        made = self._empty.copy()
        made.update_batch(set(words))
        return made


def _lsh(threshold: float) -> Any:
    """Bands as wide as they may be, so that few candidates come, while a pair at the threshold is hardly overlooked:
    one of b bands of r rows agrees with a chance of 1 - (1 - t^r)^b (Leskovec, Mining of Massive Datasets, 3.4)."""
    fit = [r for r in range(1, 9) if (1 - threshold**r) ** (PERMUTATIONS // r) < OVERLOOKED]
    rows = max(fit, default=1)
    return _datasketch().MinHashLSH(num_perm=PERMUTATIONS, params=(PERMUTATIONS // rows, rows))


@lru_cache(maxsize=1 << 16)
def _stable_hash(word: str) -> int:
    from datasketch.hashfunc import sha1_hash32

    return sha1_hash32(word.encode())


@cache
def _datasketch() -> Any:
    need_llm_extra("comparing conversations", ["datasketch"])
    import datasketch

    return datasketch
