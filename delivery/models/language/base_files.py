"""Which files make a language model in Hugging Face's layout, and whether they are all there and whole.

Only data is taken: weights as safetensors, configuration, tokenizer, chat template. Pickles and Python files are left
where they are, and a configuration that asks for code of its own (``auto_map``) is refused.
"""

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from training.errors import InputError

CONFIG = "config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")
LICENCES = ("LICENSE", "LICENCE", "NOTICE")
FOLDERS = ("additional_chat_templates", "1_Pooling", "2_Dense", "2_Normalize", "3_Normalize")
"""Folders that belong to a model: further chat templates, and the layers of a sentence encoder."""
NOT_OF_THE_MODEL = ("requirements.txt", "input_example.json")
"""What an MLflow folder has besides the model."""
LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header; the format allows no more."""


def is_wanted(name: str) -> bool:
    """Whether a file, by its path below the model's folder, is part of the model."""
    path = PurePosixPath(name)
    if len(path.parts) > 2 or path.name.startswith((".", "consolidated")) or path.name in NOT_OF_THE_MODEL:
        return False
    if len(path.parts) == 2 and path.parts[0] not in FOLDERS:
        return False
    return path.suffix in SUFFIXES or path.name.startswith(LICENCES)


def model_files(folder: Path) -> list[str]:
    """Names of the model's files below its folder, sorted; of the weights those that the index names."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in (*folder.glob("*"), *folder.glob("*/*"))
        if path.is_file() and is_wanted(path.relative_to(folder).as_posix())
    )
    weights = set(weight_files(folder))
    return [name for name in names if not name.endswith(".safetensors") or "/" in name or name in weights]


def weight_files(folder: Path) -> list[str]:
    """Names of the files that hold the weights: one, or the shards of the index.

    Raises InputError for an index that is none, or that names files outside the folder.
    """
    if not (folder / INDEX).is_file():
        return [WEIGHTS]
    shards = _object(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise InputError(f"{folder / INDEX} has no weight_map; fetch the model again")
    names = sorted({str(name) for name in shards.values()})
    bad = [name for name in names if "/" in name or "\\" in name or not name.endswith(".safetensors")]
    if bad:
        raise InputError(f"{folder / INDEX} names {bad[0]!r}, which is no safetensors file beside it")
    return names


def files_digest(folder: Path) -> str:
    """64 hex digits over the model's files: name, size and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in model_files(folder):
        path = folder / name
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{path.stat().st_size}\0{content}\0".encode())
    return digest.hexdigest()


def check_complete(folder: Path, called: str) -> None:
    """Raises InputError, which names the missing files, unless config, weights and tokenizer are there and whole, and
    none asks for code of its own. ``called`` names the model in messages."""
    if not folder.is_dir():
        raise InputError(f"{called}: {folder} is no folder")
    missing = [name for name in (CONFIG, TOKENIZER_CONFIG) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        missing.append("tokenizer.json")
    weights = weight_files(folder)
    missing += [name for name in weights if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{called} is incomplete: {', '.join(missing)} missing in {folder}{_pickles(folder)}")
    for name in weights:
        check_weights(folder / name)
    for name in (CONFIG, TOKENIZER_CONFIG):
        if "auto_map" in _object(folder / name):
            raise InputError(
                f"{called}: {name} has auto_map, so it needs Python code that comes with the model; such code is never "
                "run here. Take a model whose architecture transformers has itself"
            )
    if not _object(folder / CONFIG).get("architectures"):
        raise InputError(f"{called}: {CONFIG} names no architectures, so nobody knows what the weights are")


def check_weights(path: Path) -> None:
    """Raises InputError unless the file is as long as its header says.

    Format: https://huggingface.co/docs/safetensors (8 bytes little-endian length of the header, the header as JSON,
    and the tensors at their ``data_offsets``).
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if 0 < length <= LONGEST_HEADER else b""
    try:
        tensors = [tensor for name, tensor in json.loads(text).items() if name != "__metadata__"]
        end = max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path} is no safetensors file, or was cut off; fetch the model again") from error
    if path.stat().st_size != 8 + length + end:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes, and its header promises {8 + length + end:,}; "
            "fetch the model again"
        )


def drop_keys(path: Path, *keys: str) -> None:
    """Take keys out of a JSON file; other names of its bytes keep them."""
    document = _object(path)
    if document.keys() & set(keys):
        path.unlink()
        kept = {key: value for key, value in document.items() if key not in keys}
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _pickles(folder: Path) -> str:
    pickles = sorted(path.name for suffix in ("bin", "pt", "pth", "ckpt") for path in folder.glob(f"*.{suffix}"))
    return f"; {pickles[0]} may run code when it is loaded and is not used, save it as safetensors" if pickles else ""


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises InputError for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds {type(document).__name__}, not an object")
    return document
