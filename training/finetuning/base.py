"""The base model's folder: complete, with a chat template, and loaded in the precision that it trains in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training.errors import InputError
from training.finetuning.examples import Window

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from training.spec.fine_tuning import FineTuning

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def check_base(base: Path) -> None:
    """Raises InputError unless config, weights as safetensors (every shard of them) and tokenizer are there."""
    if not base.is_dir():
        raise InputError(f"the base model {base} is no folder")
    missing = [name for name in ("config.json", "tokenizer_config.json") if not (base / name).is_file()]
    if not any((base / name).is_file() for name in TOKENIZERS):
        missing.append("tokenizer.json")
    if (base / INDEX).is_file():
        shards = sorted(set(json.loads((base / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        missing += [name for name in shards if not (base / name).is_file()]
    elif not (base / "model.safetensors").is_file():
        missing.append("model.safetensors")
    if missing:
        raise InputError(f"the base model {base} is incomplete: {', '.join(missing)} missing; fetch it again")


def load_tokenizer(base: Path) -> "PreTrainedTokenizerBase":
    """Raises InputError if it has no chat template, or can't tell where in the text its tokens are."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise InputError(
            f"the tokenizer of {base} has no chat template, so nobody knows how a conversation is written for this "
            "model: take an instruction-tuned model, or put chat_template.jinja into its folder"
        )
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {base} has no fast form (tokenizer.json); save it with transformers first")
    return tokenizer


def window_of(base: Path, options: "FineTuning") -> Window:
    """The smaller of max_length and the model's own window (max_position_embeddings), in tokens."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    own = getattr(config.get_text_config(), "max_position_embeddings", None) or options.max_length
    if own < options.max_length:
        reason = f"the model's window (max_position_embeddings of {base / 'config.json'})"
        return Window(own, reason, "take a base model with a longer one")
    return Window(options.max_length, "hyperparameters.max_length", f"raise it, up to the model's own window of {own}")


def precision_of(requested: Literal["auto", "bf16", "fp32"]) -> Literal["bf16", "fp32"]:
    """What the hardware of this process computes in. Raises InputError for bf16 where it would be emulated."""
    import torch

    if torch.cuda.is_available():
        name, able = torch.cuda.get_device_name(0), torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        level, known = torch.backends.cpu.get_cpu_capability(), torch.cpu.get_capabilities()
        name = f"{known.get('cpu_name', 'the processor')}, used by PyTorch as {level}"
        able = level.startswith("AVX512") and bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    if requested == "bf16" and not able:
        raise InputError(
            f"hyperparameters.precision is bf16, in which this hardware does not compute ({name}); "
            "set it to auto or fp32, or train on other hardware"
        )
    return "bf16" if able and requested != "fp32" else "fp32"


@dataclass(frozen=True)
class Loaded:
    """A base model ready to train."""

    model: "PreTrainedModel"
    dtype: "torch.dtype"
    """In which its weights are stored on disk, and will be again."""


def load_base(base: Path, options: "FineTuning", precision: Literal["bf16", "fp32"]) -> Loaded:
    """The model with weights in fp32, or in bf16 where they are frozen (lora) and the arithmetic is bf16 anyway.

    Raises InputError for weights that don't fit the configuration, and for an attention that is not installed.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils.import_utils import is_flash_attn_2_available

    if options.attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise InputError(
            "hyperparameters.attention is flash_attention_2, which needs the package flash-attn and an NVIDIA GPU; "
            "set it to sdpa"
        )
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    stored = getattr(config, "dtype", None) or torch.float32
    frozen = options.method == "lora" and precision == "bf16"
    arguments: dict[str, Any] = {
        "dtype": torch.bfloat16 if frozen else torch.float32,
        "attn_implementation": options.attention,
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "output_loading_info": True,
    }
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(base, **arguments)
    except SafetensorError as error:
        raise InputError(f"the weights of {base} can't be read: {error}; fetch them again") from error
    model, facts = loaded
    wrong = sorted(facts["missing_keys"]) or sorted(map(str, facts["mismatched_keys"]))
    if wrong:
        raise InputError(f"the weights of {base} don't fit its config.json: {len(wrong)} wrong, such as {wrong[0]}")
    return Loaded(model, stored)
