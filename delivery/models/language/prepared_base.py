"""The base model as it is trained on: its files by name, and the chat template with the model's system prompt."""

import shutil
from pathlib import Path

from delivery.models.language.base_files import model_files
from delivery.models.language.chat_template import (
    FURTHER,
    TEMPLATE_FILE,
    check_template,
    read_templates,
    with_system_prompt,
    write_templates,
)
from delivery.models.links import link_or_copy
from training.errors import InputError


def read_system_prompt(folder: Path, name: str) -> str:
    """The text of ``training.system_prompt`` without the blank ends; "" where the spec has none.

    Raises InputError for a file of the model's folder that is missing, empty or not UTF-8.
    """
    if not name:
        return ""
    path = folder / name
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"training.system_prompt is {name!r}, but there is no such file in {folder}")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    if not text:
        raise InputError(f"{path} is empty; write the system prompt, or leave training.system_prompt out")
    return text


def prepare_base(base: Path, target: Path, system_prompt: str, called: str) -> Path:
    """Make the folder ``target``: links to the files of the base model, and its chat templates rewritten.

    system_prompt: the text itself. Raises InputError for a base without a chat template, or with one that does not
    render it.
    """
    templates = {name: with_system_prompt(template, system_prompt) for name, template in read_templates(base).items()}
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in model_files(base):
        if name == TEMPLATE_FILE or name.startswith(f"{FURTHER}/"):
            continue
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).symlink_to((base / name).resolve())
    write_templates(target, templates)
    check_template(target, system_prompt, called)
    return target


def put(file: Path, target: Path, link: bool) -> None:
    """Put a file's content at ``target``. link: whether it may be another name of the same bytes, which is for files
    that nobody edits in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if link:
        link_or_copy(str(file), str(target))
    else:
        shutil.copyfile(file, target)
