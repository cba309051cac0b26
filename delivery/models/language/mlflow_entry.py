"""What makes a Hugging Face folder an MLflow model: ``MLmodel``, and what it names.

MLflow's transformers flavor keeps weights under ``model/`` and the tokenizer under ``components/tokenizer/``. The
first is a name in ``MLmodel`` and may be ``.``; the second is fixed, so the tokenizer's few files are there twice.
With that ``mlflow.transformers.load_model`` and ``mlflow.pyfunc`` read the folder, messages in, OpenAI's completion
out.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from delivery.models.folder import canonical_mlmodel
from delivery.models.language.base_files import CONFIG
from delivery.models.language.prepared_base import put

TOKENIZER_FOLDER = "components/tokenizer"
EXAMPLE_FILE = "input_example.json"
EXAMPLE = {"messages": [{"role": "user", "content": "Hello"}]}
REQUIREMENTS = ("mlflow", "torch", "transformers", "tokenizers", "safetensors", "accelerate")


def write_mlflow_entry(folder: Path, adapter: str, facts: Mapping[str, Any]) -> None:
    """Write ``MLmodel``, requirements, an input example and the tokenizer's second place; equal input, equal bytes.

    adapter: folder of a PEFT adapter beside the weights, or "". facts: for ``metadata.ostinato``.
    """
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import add_to_model
    from mlflow.types.llm import CHAT_MODEL_INPUT_SCHEMA, CHAT_MODEL_OUTPUT_SCHEMA

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != ".safetensors" and not path.name.endswith(".index.json"):
            put(path, folder / TOKENIZER_FOLDER / path.name, False)
    model = Model(
        signature=ModelSignature(inputs=CHAT_MODEL_INPUT_SCHEMA, outputs=CHAT_MODEL_OUTPUT_SCHEMA),
        saved_input_example_info={"artifact_path": EXAMPLE_FILE, "type": "json_object"},
        metadata={"ostinato": dict(facts), "task": "llm/v1/chat"},
    )
    flavor = {
        "task": "text-generation",
        "inference_task": "llm/v1/chat",
        "instance_type": "TextGenerationPipeline",
        "pipeline_model_type": config["architectures"][0],
        "torch_dtype": f"torch.{config.get('dtype') or config.get('torch_dtype') or 'float32'}",
        "model_binary": ".",
        "components": ["tokenizer"],
        "tokenizer_type": "AutoTokenizer",
        **({"peft_adaptor": adapter} if adapter else {}),
    }
    model.add_flavor("transformers", transformers_version=version("transformers"), code=None, **flavor)
    add_to_model(model, loader_module="mlflow.transformers", python_env="python_env.yaml")
    model.save(str(folder / "MLmodel"))
    (folder / EXAMPLE_FILE).write_text(json.dumps(EXAMPLE, indent=2) + "\n", encoding="utf-8")
    canonical_mlmodel(folder / "MLmodel")
    _write_environment(folder, (*REQUIREMENTS, "peft") if adapter else REQUIREMENTS)


def _write_environment(folder: Path, names: Sequence[str]) -> None:
    """What the model needs to be loaded, at the versions that trained it, without the build of a version."""
    lines = [f"{name}=={version(name).partition('+')[0]}\n" for name in names]
    (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment, sort_keys=True), encoding="utf-8")
