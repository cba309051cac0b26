"""Results of earlier runs, found by what they were made of.

An entry is a file named by the key, and holds the path of an attempt folder; what that attempt made, with size and
mtime of every file, is in the folder's ``result.json``. A hit uses the files where they are.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.backends.local.artifact import Artifact, Outputs
from pipelines.backends.local.ir import Task
from pipelines.backends.local.record import RESULT, read_json, write_text


def task_key(task: Task, parameters: Mapping[str, Any], artifacts: Mapping[str, Artifact], environment: str) -> str:
    """SHA-256 over all that decides the result: code, names, types, values, content of artifacts, environment."""
    component = task.component
    material = {
        "format": 1,
        "source": component.source,
        "function": component.function,
        "env": component.env,
        "outputs": [component.output_parameters, component.output_artifacts],
        "parameters": parameters,
        "artifacts": {
            name: [artifact.type, artifact.metadata, artifact.digest] for name, artifact in artifacts.items()
        },
        "author": task.cache_key,
        "environment": environment,
    }
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()


def recall(folder: Path, key: str) -> Outputs | str:
    """Outputs of the attempt in a folder if it has this key and all files are as it left them, else why not."""
    result = read_json(folder / RESULT)
    if result is None:
        return f"{folder / RESULT} is gone"
    if result["status"] != "succeeded" or result["key"] != key:
        return f"{folder} holds another result"
    outputs = Outputs.from_json(result["outputs"])
    return outputs.damage() or outputs


def lookup(cache: Path, key: str) -> tuple[Path, Outputs] | str:
    """The attempt folder and the outputs that the cache has for a key, else why it has none."""
    try:
        folder = Path((cache / key).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return "not seen before"
    recalled = recall(folder, key)
    return recalled if isinstance(recalled, str) else (folder, recalled)


def remember(cache: Path, key: str, folder: Path) -> None:
    """Make the entry. Two runs may do so at once: each entry is whole, and the last one stays."""
    cache.mkdir(parents=True, exist_ok=True)
    write_text(cache / key, f"{folder}\n")
