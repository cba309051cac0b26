"""A language model's folder, in Hugging Face's layout, loaded without running any code of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import OstinatoError


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model and the tokenizer that has its chat template."""

    model: Any
    tokenizer: Any
    facts: dict[str, Any] = field(default_factory=dict)
    """What training wrote about itself."""


def is_language_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "tokenizer_config.json").is_file()


def load_language_model(folder: Path, dtype: str = "auto") -> LanguageModel:
    """Raises OstinatoError that names the folder and the reason."""
    import yaml
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise OstinatoError(f"{folder} does not load: {error}") from error
    described = yaml.safe_load((folder / "MLmodel").read_text()) if (folder / "MLmodel").is_file() else {}
    return LanguageModel(model.eval(), tokenizer, (described.get("metadata") or {}).get("ostinato", {}))
