"""Libraries that only some models need, and what to install for them."""

from importlib.util import find_spec

from training.errors import InputError

FOR_LANGUAGE_MODELS = ("torch", "transformers", "peft")


def check_llm_installed() -> None:
    """Raises InputError that names what to install when a library of language models is missing."""
    missing = [name for name in FOR_LANGUAGE_MODELS if find_spec(name) is None]
    if missing:
        raise InputError(
            f"a language model needs {' and '.join(missing)}, which is not installed: "
            "pip install 'ostinato[llm]' (in a checkout: make llm)"
        )
