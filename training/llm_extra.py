"""Whether the libraries for language models are installed; the base install has none of them."""

from collections.abc import Sequence
from importlib.util import find_spec

from training.errors import InputError

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate")


def need_llm_extra(purpose: str, libraries: Sequence[str] = LIBRARIES) -> None:
    """Raises InputError unless the `llm` extra is there; ``purpose`` begins the sentence, such as `fine-tuning`."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise InputError(
            f"{purpose} needs {', '.join(missing)}, which the base install has not: "
            "install ostinato[llm] (in a checkout: make llm)"
        )
