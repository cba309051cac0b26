"""The prompts of a language model: the ``*.md`` files below ``prompts/``, which travel with the model's folder."""

import re
from pathlib import Path

from training.errors import InputError

PROMPTS = "prompts"
LONGEST = 100_000
"""Characters that MLflow's prompt registry keeps."""
_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.md")


def read_prompts(folder: Path) -> dict[str, str]:
    """Text of every prompt of a model's folder by its path below ``prompts/``; none where there is no such folder.

    Raises InputError for one that the prompt registry could not keep: an empty or very long one, or a name of other
    characters than letters, digits, - and _.
    """
    prompts = {}
    for path in sorted((folder / PROMPTS).rglob("*.md")):
        name = path.relative_to(folder / PROMPTS).as_posix()
        if not _NAME.fullmatch(name):
            raise InputError(f"{path}: a prompt's name has letters, digits, - and _ only, such as system.md")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text: {error}") from error
        if not text.strip() or len(text) > LONGEST:
            raise InputError(f"{path} has {len(text):,} characters; a prompt has text, and at most {LONGEST:,}")
        prompts[name] = text
    return prompts


def registered_name(model: str, path: str) -> str:
    """Name in the prompt registry: ``llm-qa-system`` for ``system.md``, ``llm-qa-a.b`` for ``a/b.md``."""
    return f"{model}-{path.removesuffix('.md').replace('/', '.')}"
