"""Two texts word by word: which words of one are not in the other."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

WORDS = re.compile(r"\S+|\s+")
BARE = re.compile(r"^\W+|\W+$")
COMPARED_WORDS = 400
"""Of a text; what comes after them is not marked."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text, with white space as it is."""

    text: str
    differs: bool


def pieces(text: str, other: str) -> list[Piece]:
    """The text in stretches that are in the other text, in the same order, and that are not. Case and punctuation
    around a word do not count."""
    parts = WORDS.findall(text)
    at = [i for i, part in enumerate(parts) if not part.isspace()]
    mine = [_bare(parts[i]) for i in at[:COMPARED_WORDS]]
    theirs = [_bare(word) for word in other.split()[:COMPARED_WORDS]]
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    same = {block.a + k for block in blocks for k in range(block.size)}
    marked = {at[k] for k in range(len(mine)) if k not in same}
    return _joined([Piece(part, i in marked) for i, part in enumerate(parts)])


def folded(parts: list[Piece], most: int) -> tuple[list[Piece], list[Piece], int]:
    """The first ``most`` words, the rest, and how many words that are. A rest of a few words is not folded away."""
    words = sum(len(piece.text.split()) for piece in parts)
    if words <= most * 4 // 3:
        return parts, [], 0
    head: list[Piece] = []
    tail: list[Piece] = []
    left = most
    for piece in parts:
        for part in WORDS.findall(piece.text):
            (head if left > 0 else tail).append(Piece(part, piece.differs))
            left -= not part.isspace()
    return _joined(head), _joined(tail), words - most


def _joined(parts: list[Piece]) -> list[Piece]:
    """Neighbours of one kind become one; white space between two marked words is marked with them."""
    pieces: list[Piece] = []
    for i, part in enumerate(parts):
        between = part.text.isspace() and 0 < i < len(parts) - 1
        differs = part.differs or (between and parts[i - 1].differs and parts[i + 1].differs)
        if pieces and pieces[-1].differs == differs:
            pieces[-1] = Piece(pieces[-1].text + part.text, differs)
        else:
            pieces.append(Piece(part.text, differs))
    return pieces


def _bare(word: str) -> str:
    return BARE.sub("", word).casefold() or word
