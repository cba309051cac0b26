"""What a training leaves behind: a Hugging Face folder or an adapter, and its log."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.finetuning.place import Place

if TYPE_CHECKING:
    import torch

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json", ".py")
"""Endings of files of a base model that are not taken over: weights, and code, which is never run."""


def finish_model(saved: Path, base: Path, dtype: "torch.dtype", folder: Path) -> None:
    """A folder with the trained weights, stored as the base model's were, and all else as the base model has it."""
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    for path in sorted(base.iterdir()):
        if path.is_file() and not path.name.endswith(WEIGHTS):
            shutil.copyfile(path, folder / path.name)
    for path in sorted(saved.glob("*.safetensors")):
        tensors = {name: kept.to(dtype) if kept.is_floating_point() else kept for name, kept in load_file(path).items()}
        save_file(tensors, folder / path.name, metadata={"format": "pt"})
    for path in saved.glob("*.index.json"):
        index = json.loads(path.read_text(encoding="utf-8"))
        index["metadata"] = {}
        (folder / path.name).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def finish_adapter(saved: Path, folder: Path) -> None:
    """A PEFT folder that is the same bytes for the same training: no paths, names sorted."""
    folder.mkdir(parents=True)
    shutil.copyfile(saved / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((saved / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_log(place: Place, history: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """`training_log.json`: the loss of each step, the held-out losses, tokens without padding, and seconds."""
    steps = [entry for entry in history if "loss" in entry]
    held = [{"step": entry["step"], "loss": entry["eval_loss"]} for entry in history if "eval_loss" in entry]
    document = {
        **facts,
        "steps": len(steps),
        "loss": [entry["loss"] for entry in steps],
        "learning_rate": [entry["learning_rate"] for entry in steps],
        "held_out_loss": held,
        "step_tokens": [entry["tokens"] for entry in steps],
        "step_seconds": [entry["seconds"] for entry in steps],
        "tokens": sum(entry["tokens"] for entry in steps),
        "seconds": sum(entry["seconds"] for entry in steps),
    }
    place.log.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
