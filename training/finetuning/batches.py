"""In which order conversations are learned, and how they are laid into rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.finetuning.examples import IGNORED

if TYPE_CHECKING:
    import torch

    from training.finetuning.examples import Example


WIDE = 1024
"""Tokens: no row is made wider than this only to save padding."""


def hold_out(examples: Sequence["Example"], share: float, seed: int) -> tuple[list["Example"], list["Example"]]:
    """The examples to learn from, and those held out (at least one where the share is above 0), drawn by the seed."""
    count = max(round(share * len(examples)), 1) if share else 0
    drawn = set(np.random.default_rng([seed, 1]).permutation(len(examples))[:count].tolist())
    learned = [example for index, example in enumerate(examples) if index not in drawn]
    return learned, [example for index, example in enumerate(examples) if index in drawn]


def order(count: int, length: int, seed: int) -> list[int]:
    """``length`` indices below ``count``: one shuffled pass after the other, each shuffled anew."""
    rng = np.random.default_rng([seed, 2])
    passes = [rng.permutation(count) for _ in range(-(-length // count))]
    return np.concatenate(passes)[:length].tolist()


def pack(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of indices, so wide that the rectangle is small: of several widths the one with the least padding.

    The widths begin at the longest sequence, and end at four times that, or where attention, whose cost grows with the
    width, would notice. Of nearly equal rectangles the narrower one is taken.
    """
    longest = max(lengths)
    widths = [longest] + [width for width in (longest * part // 4 for part in range(5, 17)) if width <= WIDE]
    tried = [_fill(lengths, width) for width in widths]
    areas = [len(rows) * max(sum(lengths[index] for index in row) for row in rows) for rows in tried]
    good_enough = min(areas) * 1.02
    return next(rows for rows, area in zip(tried, areas, strict=True) if area <= good_enough)


def _fill(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Rows of at most ``room``: best fit, longest first."""
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fitting = [row for row, left in enumerate(free) if left >= lengths[index]]
        if fitting:
            best = min(fitting, key=lambda row: (free[row], row))
            rows[best].append(index)
            free[best] -= lengths[index]
        else:
            rows.append([index])
            free.append(room - lengths[index])
    return rows


@dataclass(frozen=True)
class Collator:
    """Lays the examples of one forward pass into a rectangle, and says which they are.

    Gives `input_ids`, `labels` and `position_ids`, each (rows, length), and no attention mask: transformers then takes
    each restart of the positions at 0 for a new sequence, and keeps sequences of one row from seeing each other
    (`find_packed_sequence_indices` in its masking_utils). Each padding token is a sequence of its own. Beside them
    `conversations`, the numbers of the examples, and `tokens`, how many are no padding.
    """

    padding: int
    """Token that fills rows."""
    packing: bool
    one_row: bool = False
    """All in one row without padding, as flash attention's kernel for sequences of different lengths wants it."""
    multiple: int = 1
    """Rows are filled up to a multiple of so many tokens, for fewer shapes to compile for."""

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        lengths = [len(example["input_ids"]) for example in examples]
        if self.one_row:
            rows = [list(range(len(examples)))]
        else:
            rows = pack(lengths) if self.packing else [[index] for index in range(len(examples))]
        longest = max(sum(lengths[index] for index in row) for row in rows)
        width = -(-longest // self.multiple) * self.multiple

        def rectangle(values: Sequence[Sequence[int]], fill: int) -> "torch.Tensor":
            import torch

            laid = [[value for index in row for value in values[index]] for row in rows]
            return torch.tensor([row + [fill] * (width - len(row)) for row in laid])

        # The first token of a sequence is predicted from nothing, never from the sequence before it in the row.
        labels = [[IGNORED, *example["labels"][1:]] for example in examples]
        return {
            "input_ids": rectangle([example["input_ids"] for example in examples], self.padding),
            "labels": rectangle(labels, IGNORED),
            "position_ids": rectangle([range(length) for length in lengths], 0),
            "conversations": [example["number"] for example in examples],
            "tokens": sum(lengths),
        }
