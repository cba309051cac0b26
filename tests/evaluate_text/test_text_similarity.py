"""Sentence embeddings are those that the encoder's own pooling says, whatever the batch."""

import json

import numpy as np
import pytest

from components.evaluate.language.similarity import Encoder
from training.errors import InputError

TEXTS = ["Git alone decides.", "A version with a share of the requests, and then some more of them.", "No."]


@pytest.fixture
def folder(tmp_path, models):
    """A BERT of one layer that nobody trained."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(models.base)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def pool(folder, **modes):
    (folder / "1_Pooling").mkdir()
    described = {"word_embedding_dimension": 32} | {f"pooling_mode_{name}": on for name, on in modes.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(described))
    return folder


def by_hand(folder, text, choose):
    import torch
    from transformers import AutoModel, AutoTokenizer

    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)(text)["input_ids"]])
    with torch.no_grad():
        vector = choose(AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state[0])
    return (vector / vector.norm()).numpy()


def test_the_mean_is_over_a_texts_own_tokens_and_not_over_padding(folder):
    pool(folder, mean_tokens=True, cls_token=False)
    found = Encoder(folder).embed(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        assert vector == pytest.approx(by_hand(folder, text, lambda tokens: tokens.mean(0)), abs=1e-5)


def test_the_first_token_stands_for_the_text_where_the_encoder_says_so(folder):
    pool(folder, mean_tokens=False, cls_token=True)
    found = Encoder(folder).embed(TEXTS)
    assert found[0] == pytest.approx(by_hand(folder, TEXTS[0], lambda tokens: tokens[0]), abs=1e-5)


def test_a_pooling_that_is_not_understood_is_refused(folder):
    pool(folder, max_tokens=True)
    with pytest.raises(InputError, match="asks for pooling_mode_max_tokens"):
        Encoder(folder)


def test_a_text_longer_than_the_encoders_window_counts_by_its_beginning(folder):
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6}))
    vectors = Encoder(folder).embed(["one two three four five six", "one two three four five six and seven" * 100])
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)


def test_equal_texts_are_alike_and_an_empty_answer_is_like_nothing(folder):
    found = Encoder(folder).similarities([TEXTS[0], "  ", TEXTS[1]], [TEXTS[0], TEXTS[1], TEXTS[2]])
    assert found[0] == pytest.approx(1.0) and found[1] == 0.0 and -1 <= found[2] < 1
    assert np.isfinite(found).all()


def test_a_folder_that_is_no_encoder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"quality.similarity: .* is no sentence encoder that loads"):
        Encoder(tmp_path)
