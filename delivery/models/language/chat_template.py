"""The chat template with the model's own system prompt in it, so that every runtime gives it to the model.

A template is Jinja (https://huggingface.co/docs/transformers/chat_templating). The original is kept word for word; in
front of it stand two statements that put a system message before conversations that have none, so a default of the
original's own is never reached.
"""

import json
from pathlib import Path
from typing import Any

from delivery.models.language.base_files import TOKENIZER_CONFIG, drop_keys
from training.errors import InputError

TEMPLATE_FILE = "chat_template.jinja"
FURTHER = "additional_chat_templates"
DEFAULT = "default"
_WRAP = (
    "{{%- if not messages or messages[0]['role'] not in ('system', 'developer') %}}"
    "{{%- set messages = [{{'role': 'system', 'content': {text}}}] + messages | list %}}"
    "{{%- endif %}}\n"
)


def read_templates(folder: Path) -> dict[str, str]:
    """The chat templates of a Hugging Face folder by name; the one that is used is ``default``.

    Raises InputError if there is none, since nobody then knows how a conversation is written for the model.
    """
    config: dict[str, Any] = json.loads((folder / TOKENIZER_CONFIG).read_text(encoding="utf-8"))
    templates = config.get("chat_template") or {}
    if isinstance(templates, str):
        templates = {DEFAULT: templates}
    elif isinstance(templates, list):
        templates = {template["name"]: template["template"] for template in templates}
    templates = dict(templates)
    for path in sorted((folder / FURTHER).glob("*.jinja")):
        templates[path.stem] = path.read_text(encoding="utf-8")
    if (folder / TEMPLATE_FILE).is_file():
        templates[DEFAULT] = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    if not templates.get(DEFAULT):
        raise InputError(
            f"the tokenizer of {folder} has no chat template, so nobody knows how a conversation is written for this "
            f"model: take an instruction-tuned model, or put {TEMPLATE_FILE} into its folder"
        )
    return templates


def with_system_prompt(template: str, text: str) -> str:
    """The template that starts conversations without a system message with ``text``; unchanged for "".

    The text is quoted as JSON, which Jinja reads as the same string: it knows JSON's escapes, and characters outside
    ASCII are left as they are. The line end after the last statement is not written out (``trim_blocks``), and lets
    the original begin at the start of a line, as it did.
    """
    return _WRAP.format(text=json.dumps(text, ensure_ascii=False)) + template if text else template


def write_templates(folder: Path, templates: dict[str, str]) -> None:
    """Put the templates into files of their own, and out of the tokenizer's configuration."""
    drop_keys(folder / TOKENIZER_CONFIG, "chat_template")
    for name, template in templates.items():
        file = folder / TEMPLATE_FILE if name == DEFAULT else folder / FURTHER / f"{name}.jinja"
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(template, encoding="utf-8")


def check_template(folder: Path, text: str, called: str) -> None:
    """Raises InputError unless the folder's template renders a question, and the system prompt where it has one."""
    from jinja2.exceptions import TemplateError
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    question = [{"role": "user", "content": "Which way?"}]
    try:
        prompt = str(tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True))
    except (TemplateError, TypeError, ValueError) as error:
        system = "; if it takes no system message, leave training.system_prompt out" if text else ""
        raise InputError(f"the chat template of {called} does not render a question: {error}{system}") from error
    if "Which way?" not in prompt:
        raise InputError(f"the chat template of {called} leaves the question out")
    if text and text not in prompt:
        raise InputError(f"the chat template of {called} leaves system messages out; leave training.system_prompt out")
