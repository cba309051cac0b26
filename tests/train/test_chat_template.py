"""The system prompt inside the chat template: every conversation starts with exactly one system message."""

from pathlib import Path

import pytest
from harness.tiny_models import CHAT_TEMPLATE, tiny_model
from transformers import AutoTokenizer

from delivery.models.language.chat_template import with_system_prompt
from delivery.models.language.prepared_base import prepare_base
from training.errors import InputError

WITH_DEFAULT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are SmolLM.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INDENTED = "  {% if messages %}\n" + CHAT_TEMPLATE + "\n  {% endif %}\n"
NEEDS_TOKENS = "{{ bos_token + 'go ' }}" + CHAT_TEMPLATE
PROMPTS = [
    "Be kind.",
    "Say \"yes\", 'no' or \\maybe\\; {{ messages }} {% raw %} {# no #} %} }}",
    "Zeile eins\nZeile zwei\tüber Straßen 🚲 \u2028 漢字 \x01",
    '{"answer": "{name}"}',
]
TALK = [
    {"role": "user", "content": "Hi {{ you }}"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And now?"},
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    folder = tiny_model(tmp_path_factory.mktemp("tiny"), ["a b c"], hidden=16, layers=1)
    made = AutoTokenizer.from_pretrained(folder)
    made.bos_token = "<|endoftext|>"
    return made


@pytest.mark.parametrize("generate", [True, False])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("template", [CHAT_TEMPLATE, WITH_DEFAULT, INDENTED, NEEDS_TOKENS])
def test_a_conversation_without_a_system_message_is_written_as_if_the_caller_had_sent_it(
    tokenizer, template: str, prompt: str, generate: bool
) -> None:
    wrapped = with_system_prompt(template, prompt)

    def said(chosen: str, messages: list[dict[str, str]]) -> str:
        return tokenizer.apply_chat_template(
            messages, chat_template=chosen, tokenize=False, add_generation_prompt=generate
        )

    sent = [{"role": "system", "content": prompt}, *TALK]
    assert said(wrapped, TALK) == said(template, sent)
    assert said(wrapped, TALK).count(prompt) == 1 and "SmolLM" not in said(wrapped, TALK)
    own = [{"role": "system", "content": "Mine."}, *TALK]
    assert said(wrapped, own) == said(template, own)
    assert said(wrapped, TALK[:1]) == said(template, sent[:2])


def test_without_a_system_prompt_the_template_is_the_original() -> None:
    assert with_system_prompt(CHAT_TEMPLATE, "") == CHAT_TEMPLATE


def test_templates_of_the_tokenizers_configuration_are_rewritten_too(tmp_path: Path) -> None:
    import json

    base = tiny_model(tmp_path / "base", ["a b"], hidden=16, layers=1, chat_template="")
    config = json.loads((base / "tokenizer_config.json").read_text())
    both = [{"name": "default", "template": CHAT_TEMPLATE}, {"name": "tool_use", "template": "tools " + CHAT_TEMPLATE}]
    (base / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": both}))
    before = (base / "tokenizer_config.json").read_bytes()
    prepared = prepare_base(base, tmp_path / "prepared", "Be kind.", "it")
    loaded = AutoTokenizer.from_pretrained(prepared)
    question = TALK[:1]
    assert "Be kind." in loaded.apply_chat_template(question, tokenize=False)
    tools = loaded.apply_chat_template(question, chat_template="tool_use", tokenize=False)
    assert tools.startswith("tools <|im_start|>system\nBe kind.")
    assert (base / "tokenizer_config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}", "no system; if"),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "leaves system"),
        ("{{ messages[0]['content'] }}", "leaves the question out"),
        ("{% for", "does not render a question"),
    ],
)
def test_a_template_that_can_not_carry_the_prompt_is_refused(tmp_path: Path, template: str, said: str) -> None:
    base = tiny_model(tmp_path / "base", ["a b"], hidden=16, layers=1, chat_template=template)
    with pytest.raises(InputError, match=said):
        prepare_base(base, tmp_path / "prepared", "Be kind.", "the base model x")
