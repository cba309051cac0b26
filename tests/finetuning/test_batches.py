"""Rows of several conversations, and the order of learning."""

from pathlib import Path

import pytest

from tests.finetuning.conftest import Conversations
from training.finetuning.base import load_tokenizer
from training.finetuning.batches import Collator, hold_out, order, pack
from training.finetuning.examples import IGNORED, Example, Window, tokenise


@pytest.fixture(scope="module")
def examples(base: Path, conversations: Conversations) -> list[Example]:
    return tokenise(conversations, load_tokenizer(base), Window(512, "", ""))


def rows(examples: list[Example]) -> list[dict]:
    return [{"number": one.number, "input_ids": one.input_ids, "labels": one.labels} for one in examples]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_conversations_do_not_see_each_other(base: Path, examples: list[Example], attention: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation=attention).eval()
    batch = Collator(padding=0, packing=True)(rows(examples))
    assert batch["input_ids"].shape[0] < len(examples) / 2
    ids, positions = batch["input_ids"], batch["position_ids"]
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        alone = {one.number: model(torch.tensor([one.input_ids])).logits[0] for one in examples}
        # The same row without the positions' restarts: what leaking would look like.
        leaking = model(input_ids=ids, use_cache=False).logits
    met, leaked = 0, 0
    for row in range(len(ids)):
        begins = [index for index in range(ids.shape[1]) if positions[row, index] == 0]
        for begin, end in zip(begins, [*begins[1:], ids.shape[1]], strict=True):
            for one in examples:
                if one.input_ids == ids[row, begin:end].tolist():
                    assert torch.allclose(packed[row, begin:end], alone[one.number], atol=1e-5)
                    leaked += not torch.allclose(leaking[row, begin:end], alone[one.number], atol=1e-3)
                    met += 1
    assert met >= len(examples) and leaked > 0


def test_a_packed_row_has_the_labels_of_its_conversations_and_none_for_their_first_tokens(
    examples: list[Example],
) -> None:
    learn_all = [Example(one.number, one.input_ids, list(one.input_ids)) for one in examples]
    batch = Collator(padding=0, packing=True)(rows(learn_all))
    assert (batch["labels"][batch["position_ids"] == 0] == IGNORED).all()
    assert (batch["labels"] != IGNORED).sum() == sum(len(one.input_ids) - 1 for one in examples)
    assert batch["tokens"] == sum(len(one.input_ids) for one in examples)
    assert batch["conversations"] == [one.number for one in examples]


@pytest.mark.parametrize(
    "lengths",
    [[5, 3, 9, 1, 4, 4, 2, 8, 1], [60, 45, 45, 44, 43, 46, 50, 52], [900, 20, 30, 700, 10], [7], [6, 6, 6, 6]],
)
def test_rows_hold_everything_once_with_little_padding(lengths: list[int]) -> None:
    packed = pack(lengths)
    width = max(sum(lengths[index] for index in row) for row in packed)
    assert sorted(index for row in packed for index in row) == list(range(len(lengths)))
    assert width <= max(1024, max(lengths))
    assert len(packed) * width <= 1.15 * sum(lengths)


def test_flash_attention_gets_one_row_without_padding(examples: list[Example]) -> None:
    batch = Collator(padding=0, packing=True, one_row=True)(rows(examples))
    assert batch["input_ids"].shape == (1, batch["tokens"])
    assert (batch["position_ids"] == 0).sum() == len(examples)


def test_each_pass_shuffles_every_conversation_anew() -> None:
    drawn = order(10, 35, seed=3)
    passes = [drawn[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3
    assert drawn == order(10, 35, seed=3) != order(10, 35, seed=4)


def test_the_held_out_part_is_drawn_by_the_seed_and_never_learned(examples: list[Example]) -> None:
    learned, held = hold_out(examples, 0.25, seed=1)
    assert len(held) == 6 and {one.number for one in learned} | {one.number for one in held} == set(range(24))
    assert hold_out(examples, 0.25, seed=1) == (learned, held) != hold_out(examples, 0.25, seed=2)
