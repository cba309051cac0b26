"""What fills in a command that serves a language model: the engine's options, and LoRA weights by themselves."""

import json
from pathlib import Path

from delivery.models.language.base_files import CONFIG
from delivery.models.language.language_model import ADAPTER, ADAPTER_CONFIG
from training.errors import InputError, OstinatoError
from training.spec.generation import EngineSpec
from training.spec.serving_language import VLLM_RANKS


def language_places(folder: Path, name: str, engine: EngineSpec) -> dict[str, str | None]:
    """Values by place; None where there is none, and the argument is left out.

    Raises OstinatoError for a folder that holds no language model, InputError where the engine wants more than the
    model's window.
    """
    window = _read(folder / CONFIG).get("max_position_embeddings")
    check_window(window, engine.max_model_len)
    adapter = folder / ADAPTER
    apart = (adapter / ADAPTER_CONFIG).is_file()
    return {
        "weights_name": f"{name}-base" if apart else name,
        "adapter_dir": str(adapter.absolute()) if apart else None,
        "adapter_rank": str(_room(_read(adapter / ADAPTER_CONFIG).get("r", VLLM_RANKS[0]))) if apart else None,
        "backend": engine.backend,
        "dtype": engine.dtype,
        "max_model_len": None if engine.max_model_len is None else str(engine.max_model_len),
        "tensor_parallel": str(engine.tensor_parallel) if engine.tensor_parallel > 1 else None,
        "gpu_memory_utilization": (
            None if engine.gpu_memory_utilization is None else str(engine.gpu_memory_utilization)
        ),
    }


def check_window(window: int | None, max_model_len: int | None) -> int | None:
    """The longest prompt with its answer, in tokens. Raises InputError if more is asked for than the model's window."""
    if window is not None and max_model_len is not None and max_model_len > window:
        raise InputError(
            f"serving.engine.max_model_len is {max_model_len}, and the window of the model has {window} tokens; "
            "lower it, or leave it out"
        )
    return max_model_len or window


def _room(rank: int) -> int:
    return next((allowed for allowed in VLLM_RANKS if allowed >= rank), rank)


def _read(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OstinatoError(f"{path.parent} holds no language model: {path.name} is missing") from error
    except ValueError as error:
        raise OstinatoError(f"{path} is no JSON: {error}") from error
    return document if isinstance(document, dict) else {}
