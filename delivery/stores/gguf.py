"""A GGUF file turned into a Hugging Face folder, since only that can be fine-tuned and served.

The weights are stored in bfloat16, as exact as GGUF's 4 to 8 bits need; transformers reads the format itself
(https://huggingface.co/docs/transformers/gguf).
"""

import struct
from pathlib import Path

from delivery.models.language.base_files import drop_keys
from training.errors import InputError
from training.llm_extra import need_llm_extra


def convert_gguf(file: Path, folder: Path) -> None:
    """Write config, weights, tokenizer and chat template of a GGUF file into an existing folder.

    Takes some ten seconds, and memory for the weights in bfloat16. Raises InputError for a file that transformers
    can't read, or an architecture that it does not convert.
    """
    need_llm_extra("a language model")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print(f"converting {file.name} to safetensors; this is done once", flush=True)
    where, name = str(file.parent), file.name
    try:
        model = AutoModelForCausalLM.from_pretrained(
            where,
            gguf_file=name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, local_files_only=True)
    except (ValueError, LookupError, TypeError, OSError, RuntimeError, struct.error) as error:
        raise InputError(f"{file} can't be read as GGUF: {type(error).__name__}: {str(error)[:300]}") from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # What only the conversion knew: the path that it read from, and the quantisation that is no more.
    drop_keys(folder / "config.json", "_name_or_path", "quantization_config")
    drop_keys(folder / "tokenizer_config.json", "name_or_path", "gguf_file", "local_files_only")
