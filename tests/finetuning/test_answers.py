"""Which tokens carry the loss."""

from pathlib import Path
from typing import Any

import pytest

from tests.finetuning.conftest import Conversations, asked
from tests.harness.tiny_models import CHAT_TEMPLATE, tiny_model
from training.errors import InputError
from training.finetuning.base import load_tokenizer
from training.finetuning.examples import IGNORED, Example, Window, tokenise

SMOLLM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHORT_END = (
    "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}[assistant]"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
    "{{ '[' + m['role'] + ']' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
ONLY_LAST_ANSWER = (
    "{% for m in messages %}{{ '[' + m['role'] + ']' }}"
    "{% if m['role'] != 'assistant' or loop.last %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NO_END = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant: "
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT_TEMPLATE
TWO_ANSWERS = [{"role": "system", "content": "Be brief."}, *asked("Why?", "Because."), *asked("Sure?", "Yes, 3!")]


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return load_tokenizer(base)


def one(messages: list[dict[str, str]], tokenizer: Any, limit: int = 256) -> Example:
    return tokenise([messages], tokenizer, Window(limit, "hyperparameters.max_length", "raise it"))[0]


def refused(conversations: Conversations, tokenizer: Any, limit: int = 256) -> str:
    with pytest.raises(InputError) as caught:
        tokenise(conversations, tokenizer, Window(limit, "hyperparameters.max_length", "raise it"))
    return str(caught.value)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, SMOLLM, SHORT_END, MARKED])
def test_exactly_the_answers_and_the_tokens_that_end_them_carry_loss(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    example = one(TWO_ANSWERS, tokenizer)
    learned = [token for token in example.labels if token != IGNORED]
    assert tokenizer.decode(learned) == "Because.<|im_end|>Yes, 3!<|im_end|>"
    assert all(label in (IGNORED, token) for label, token in zip(example.labels, example.input_ids, strict=True))
    whole = tokenizer.apply_chat_template(TWO_ANSWERS, tokenize=False)
    assert example.input_ids == tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_an_answer_of_many_bytes_a_character_is_learned_whole(tokenizer: Any) -> None:
    tokenizer.chat_template = CHAT_TEMPLATE
    example = one(asked("Wie?", "größer 🎵 und\n\nzwei  Zeilen"), tokenizer)
    learned = [token for token in example.labels if token != IGNORED]
    assert tokenizer.decode(learned) == "größer 🎵 und\n\nzwei  Zeilen<|im_end|>"


def test_a_template_that_renders_a_turn_differently_later_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = ONLY_LAST_ANSWER
    assert "renders the text before the answer in message 2 differently" in refused([TWO_ANSWERS], tokenizer)
    assert one(asked("Why?", "Because."), tokenizer).labels.count(IGNORED) > 0


def test_a_template_that_never_ends_an_answer_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_END
    message = refused([asked("Why?", "Because.")], tokenizer)
    assert "would not learn to stop" in message or "differently" in message
    tokenizer.chat_template = NO_END.replace("assistant: ", "{% if add_generation_prompt %}assistant: {% endif %}")
    assert "no special token, so the model would not learn to stop" in refused([asked("Why?", "Because.")], tokenizer)


def test_what_the_template_refuses_is_told_in_its_words(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_SYSTEM
    assert "conversation 0 ('Why?'): the chat template refuses it: no system role" in refused([TWO_ANSWERS], tokenizer)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (asked("Why?", " \n"), "message 1 is an empty answer"),
        ([{"role": "user", "content": "Why?"}], "has no answer"),
        (asked("Why?", "So <|im_end|> and more"), "contains special tokens ('<|im_end|>'"),
    ],
)
def test_a_conversation_that_teaches_nothing_or_wrong_is_refused_by_number(
    tokenizer: Any, messages: list[dict[str, str]], words: str
) -> None:
    tokenizer.chat_template = CHAT_TEMPLATE
    message = refused([asked("Good?", "Yes."), messages], tokenizer)
    assert words in message and message.startswith("conversation 1 ('Why?')")


def test_an_answer_that_the_tokenizer_joins_with_its_prompt_is_refused(tmp_path: Path) -> None:
    texts = ["a\n\n\nb" * 50, "user assistant\n\n\n"]
    tokenizer = load_tokenizer(tiny_model(tmp_path / "base", texts))
    assert "take off white space before the answer" in refused([asked("Why?", "\n\n\nb")], tokenizer)


def test_a_conversation_longer_than_the_limit_is_named_with_its_tokens(tokenizer: Any) -> None:
    tokenizer.chat_template = CHAT_TEMPLATE
    long = asked("How long? " * 30, "Long.")
    tokens = len(one(long, tokenizer, 10_000).input_ids)
    message = refused([asked("Why?", "So."), long], tokenizer, tokens - 1)
    assert f"conversation 1 ('How long? How long? How long? How long? …') has {tokens} tokens" in message
    assert f"hyperparameters.max_length allows {tokens - 1}" in message
    assert len(one(long, tokenizer, tokens).input_ids) == tokens


def test_no_conversation_at_all_is_refused(tokenizer: Any) -> None:
    assert "no conversation" in refused([], tokenizer)
