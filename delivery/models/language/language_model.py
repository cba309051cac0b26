"""A language model's folder: Hugging Face's layout at the top, an MLflow model beside it.

KServe's huggingfaceserver and vLLM load the folder as it is; ``MLmodel`` names the same files to MLflow. Only
safetensors are read, and code that comes with a model never runs.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from delivery.models.language.base_files import (
    CONFIG,
    TOKENIZER_CONFIG,
    check_complete,
    drop_keys,
    model_files,
    weight_files,
)
from delivery.models.language.mlflow_entry import write_mlflow_entry
from delivery.models.language.prepared_base import put
from delivery.models.language.prompts import PROMPTS
from training.errors import InputError, OstinatoError
from training.llm_extra import need_llm_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter", "adapter_config.json", "adapter_model.safetensors"
GENERATION_CONFIG = "generation_config.json"


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model, ready to answer, and the tokenizer that has its chat template."""

    model: Any
    """transformers' PreTrainedModel, or a PeftModel around one; their annotations say too little to be checked."""
    tokenizer: Any
    """PreTrainedTokenizerBase."""
    facts: dict[str, Any]
    """What training wrote about itself; empty for a base model."""


@dataclass(frozen=True)
class Result:
    """What the model's own ``train`` returned, looked at."""

    folder: Path
    method: str
    """`prompt` (the base model itself), `lora` (an adapter) or `full` (all weights)."""


def is_language_model(folder: Path) -> bool:
    """Whether a folder has Hugging Face's layout; it may still be incomplete."""
    return (folder / CONFIG).is_file() and (folder / TOKENIZER_CONFIG).is_file()


def read_facts(folder: Path) -> dict[str, Any]:
    """What training wrote into ``MLmodel``; empty for a folder without one."""
    import yaml

    if not (folder / "MLmodel").is_file():
        return {}
    described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    return (described.get("metadata") or {}).get("ostinato", {})


def load_language_model(folder: Path, dtype: str = "auto") -> LanguageModel:
    """Load a model folder, or a base model, on the CPU, with its adapter where it has one.

    dtype: ``auto`` for the one that the weights are stored in, or ``bfloat16``, ``float16``, ``float32``. Raises
    InputError if PyTorch is not installed, OstinatoError that names the folder and the reason.
    """
    need_llm_extra("a language model")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _loading(folder):
        check_complete(folder, "the model")
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        if (folder / ADAPTER / ADAPTER_CONFIG).is_file():
            from peft import PeftModel

            model = PeftModel.from_pretrained(cast("PreTrainedModel", model), folder / ADAPTER)
    return LanguageModel(cast("PreTrainedModel", model.eval()), tokenizer, read_facts(folder))


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise OstinatoError(f"{folder} does not load: {type(error).__name__}: {error}") from error


def inspect_result(returned: Any, base: Path, entry_point: str) -> Result:
    """What ``train`` returned. Raises InputError unless it is the base model's folder, an adapter's or a model's."""
    if not isinstance(returned, Path) or not returned.is_dir():
        raise InputError(
            f"{entry_point} returned {returned!r}; return the folder (a pathlib.Path) of a PEFT adapter, of a model in "
            "Hugging Face's layout, or base itself"
        )
    if returned.resolve() == base.resolve():
        return Result(base, "prompt")
    if (returned / ADAPTER_CONFIG).is_file():
        if not (returned / ADAPTER_WEIGHTS).is_file():
            raise InputError(f"{entry_point} returned the adapter {returned} without {ADAPTER_WEIGHTS}")
        return Result(returned, "lora")
    if (returned / CONFIG).is_file():
        missing = [name for name in weight_files(returned) if not (returned / name).is_file()]
        if missing:
            raise InputError(f"{entry_point} returned the model {returned} without {', '.join(missing)}")
        return Result(returned, "full")
    raise InputError(f"{entry_point} returned {returned}, which has neither {CONFIG} nor {ADAPTER_CONFIG}")


def save_language_model(
    result: Result,
    base: Path,
    folder: Path,
    *,
    separate: bool,
    prompts: Mapping[str, str],
    facts: Mapping[str, Any],
    link: bool = False,
) -> None:
    """Write the model folder; equal trainings give equal bytes.

    base: as :func:`delivery.models.language.prepared_base.prepare_base` made it; tokenizer and chat template are its.
    separate: an adapter is put beside the base's weights instead of into them. prompts: texts by name, as
    ``read_prompts`` gives them. facts: written under ``metadata.ostinato`` of ``MLmodel``. link: whether the base's
    files may be linked. Raises InputError for a model with another vocabulary than its base.
    """
    kept = result.method == "prompt" or (result.method == "lora" and separate)
    weights = set(weight_files(base)) | {"model.safetensors.index.json"}
    folder.mkdir(parents=True, exist_ok=True)
    for name in model_files(base):
        if kept or name not in weights:
            put(base / name, folder / name, link)
    if result.method == "full":
        _take_model(result.folder, base, folder)
    elif result.method == "lora" and separate:
        _take_adapter(result.folder, folder / ADAPTER, str(facts.get("base_model", "")))
    elif result.method == "lora":
        _merge(base, result.folder, folder)
    drop_keys(folder / CONFIG, "_name_or_path")  # the path that it was loaded from
    for name, text in prompts.items():
        path = folder / PROMPTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    for name in weight_files(folder):
        (folder / name).chmod(0o644)  # safetensors makes files that only their owner can read; servers run as others
    check_complete(folder, "the trained model")
    adapter = ADAPTER if result.method == "lora" and separate else ""
    write_mlflow_entry(folder, adapter, facts)


def _take_model(trained: Path, base: Path, folder: Path) -> None:
    """Weights and configuration of a model that was trained as a whole, in the base's dtype."""
    sizes = [json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("vocab_size") for folder in (trained, base)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"the trained model has a vocabulary of {sizes[0]} tokens and its base {sizes[1]}; the tokenizer is the "
            "base's, so train without resizing the embeddings"
        )
    for name in (*model_files(trained), ADAPTER_CONFIG):
        if name in (CONFIG, GENERATION_CONFIG, "model.safetensors.index.json") or name.endswith(".safetensors"):
            put(trained / name, folder / name, True)


def _take_adapter(trained: Path, target: Path, base_model: str) -> None:
    """Weights and configuration of an adapter. PEFT writes sets in any order, and the path of the base."""
    put(trained / ADAPTER_WEIGHTS, target / ADAPTER_WEIGHTS, True)
    config = json.loads((trained / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_model
    for name in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (target / ADAPTER_CONFIG).write_text(text, encoding="utf-8")


def _merge(base: Path, adapter: Path, folder: Path) -> None:
    """The base's weights with the adapter's added, in the base's dtype."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with _loading(adapter):
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype="auto", local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        dtype = model.dtype
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()  # pyright: ignore[reportCallIssue]
    merged.to(dtype).save_pretrained(folder)
