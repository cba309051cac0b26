"""Answers and likelihoods are those of one question alone, whatever the batch."""

import dataclasses
import math
from typing import Any

import pytest
from evaluate_text.conftest import ANSWERS, conversation

from components.evaluate.language.answer_prompts import answer_all, answer_prompts, batches, encode_prompt
from components.evaluate.language.contenders import check_lengths
from components.evaluate.language.likelihood import encode_reference, likelihoods
from components.evaluate.language.questions import Questions
from delivery.models.language.language_model import load_language_model
from training.errors import InputError, OstinatoError
from training.spec import Decoding, EngineSpec

PROMPTS = [conversation(question, "")[:1] for question in ANSWERS]
REFERENCES = [answer for answer, _ in ANSWERS.values()]
DECODING = Decoding(max_new_tokens=24)


@pytest.fixture(scope="module")
def good(models):
    return load_language_model(models.good, "float32")


def test_a_batch_answers_as_one_by_one_does_and_in_order(good):
    one_by_one = answer_all(good, PROMPTS, DECODING, batch_tokens=1)
    assert one_by_one == answer_all(good, PROMPTS, DECODING) == REFERENCES
    assert answer_all(good, PROMPTS[::-1], DECODING, batch_tokens=150) == REFERENCES[::-1]


def test_batches_keep_their_budget_and_hold_every_row_once():
    lengths = [5, 90, 20, 7, 40, 41, 3]
    found = list(batches(lengths, 90))
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= 90 for rows in found)
    assert found[0] == [1] and found[1] == [5, 4]


def test_an_answer_ends_before_a_stop_text_also_where_the_prompt_ends_with_it(good):
    """The chat template ends with a line break, which must not stop the answer before it begins."""
    full = answer_all(good, PROMPTS[:1], DECODING)[0]
    assert answer_all(good, PROMPTS[:1], Decoding(max_new_tokens=24, stop=(" that",))) == [full.split(" that")[0]]
    assert answer_all(good, PROMPTS[:1], Decoding(max_new_tokens=24, stop=("\n",))) == [full]


def test_a_stop_text_of_one_row_leaves_the_others_whole(good):
    found = answer_all(good, PROMPTS, Decoding(max_new_tokens=24, stop=("Ravel",)))
    assert found == ["Maurice " if "Ravel" in one else one for one in REFERENCES]


def test_an_answer_that_was_cut_is_known_as_such(good):
    encoded = [encode_prompt(good, PROMPTS[0])]
    (whole,) = answer_prompts(good, encoded, DECODING)
    (cut,) = answer_prompts(good, encoded, Decoding(max_new_tokens=3))
    assert whole.whole and not cut.whole and whole.text.startswith(cut.text) and cut.text


def test_sampling_in_the_generation_config_changes_nothing(good):
    config = good.model.generation_config
    config.do_sample, config.temperature = True, 50.0
    try:
        assert answer_all(good, PROMPTS, DECODING) == REFERENCES
    finally:
        config.do_sample, config.temperature = False, 1.0


def test_likelihood_is_of_the_answers_tokens_alone_and_the_same_in_any_batch(good):
    import torch

    prompts = [encode_prompt(good, one) for one in PROMPTS]
    references = [encode_reference(good, one) for one in [*REFERENCES[1:], "An unlikely word."]]
    found = likelihoods(good, prompts, references)
    for prompt, reference, one in zip(prompts, references, found, strict=True):
        with torch.no_grad():
            logits = good.model(torch.tensor([prompt + reference])).logits[0].log_softmax(dim=-1)
        by_hand = -sum(float(logits[len(prompt) - 1 + k, token]) for k, token in enumerate(reference))
        assert one.tokens == len(reference) and one.nll == pytest.approx(by_hand, rel=1e-4)
    alone = likelihoods(good, prompts, references, batch_tokens=1)
    assert [one.nll for one in alone] == pytest.approx([one.nll for one in found], rel=1e-4)


def test_an_answer_that_is_known_by_heart_is_sure(good):
    found = likelihoods(good, [encode_prompt(good, PROMPTS[3])], [encode_reference(good, REFERENCES[3])])
    assert math.exp(found[0].nll / found[0].tokens) < 1.5


def questions_of(prompts, references):
    import polars as pl

    return Questions(tuple(f"q{i}" for i in range(len(prompts))), tuple(prompts), tuple(references), pl.DataFrame())


def lengths_of(model, prompt, reference, decoding, engine):
    encoded, answer = [encode_prompt(model, prompt)], [encode_reference(model, reference)]
    check_lengths(model, "the candidate", questions_of([prompt], [reference]), encoded, answer, decoding, engine)
    return len(encoded[0]), len(answer[0])


def test_a_question_longer_than_the_window_is_named_and_never_cut(good):
    long = conversation("word " * 200 + "?", "")[:1]
    with pytest.raises(InputError, match=r"test row q0 \('word word .*window of the candidate is 512; nothing is cut"):
        lengths_of(good, long, "yes", Decoding(max_new_tokens=500), EngineSpec())


def test_the_engines_window_counts_and_is_used_to_its_last_token(good):
    prompt, reference = lengths_of(good, PROMPTS[0], REFERENCES[0], DECODING, EngineSpec())
    need = prompt + max(24, reference)
    fits = EngineSpec(max_model_len=need)
    lengths_of(good, PROMPTS[0], REFERENCES[0], DECODING, fits)
    with pytest.raises(InputError, match=f"is {need - 1}; nothing is cut"):
        short = EngineSpec(max_model_len=need - 1)
        lengths_of(good, PROMPTS[0], REFERENCES[0], DECODING, short)


def test_a_tokenizer_of_another_model_is_refused_before_it_crashes(good):
    class Smaller:
        num_embeddings = 10

    class Wrapped:
        config = good.model.config

        def get_input_embeddings(self):
            return Smaller()

    odd = dataclasses.replace(good, model=Wrapped())
    with pytest.raises(OstinatoError, match="knows 10 tokens"):
        lengths_of(odd, PROMPTS[0], REFERENCES[0], DECODING, EngineSpec())


def test_a_model_without_a_chat_template_is_refused(good):
    import copy

    mute = copy.copy(good.tokenizer)
    mute.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        answer_all(dataclasses.replace(good, tokenizer=mute), PROMPTS, DECODING)


def test_a_conversation_that_the_template_refuses_is_named(good):
    import copy

    strict = copy.copy(good.tokenizer)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match=r"'What is an ostinato.*roles must alternate"):
        answer_all(dataclasses.replace(good, tokenizer=strict), PROMPTS, DECODING)


def test_an_adapter_beside_the_weights_answers_as_when_it_is_merged(models):
    import torch
    from peft import LoraConfig, get_peft_model

    apart = load_language_model(models.good, "float32")
    torch.manual_seed(0)
    options = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    apart = dataclasses.replace(apart, model=get_peft_model(apart.model, options).eval())
    prompts, references = (
        [encode_prompt(apart, one) for one in PROMPTS],
        [encode_reference(apart, "So.")] * len(PROMPTS),
    )
    found = answer_all(apart, PROMPTS, DECODING), likelihoods(apart, prompts, references)
    adapted: Any = apart.model
    merged = dataclasses.replace(apart, model=adapted.merge_and_unload())
    assert answer_all(merged, PROMPTS, DECODING) == found[0] != REFERENCES
    again = likelihoods(merged, prompts, references)
    assert [one.nll for one in again] == pytest.approx([one.nll for one in found[1]], rel=1e-3)
