"""What KServe's runtimes for language models are told: names, options, environment, probes.

The words are those of KServe's huggingfaceserver (python/huggingfaceserver/huggingfaceserver/__main__.py), which hands
what it does not know to vLLM, and of `vllm serve`. Nothing here lets a model bring code of its own.
"""

from delivery.kserve.documents import Document
from delivery.kserve.draining import finishing_options
from delivery.kserve.stock_runtimes import HTTP_PORT, stock_arguments
from training.spec import ModelSpec
from training.spec.serving_language import HUGGINGFACESERVER, VLLM_RANKS, VLLMSERVER

ADAPTER = "/mnt/models/adapter"
"""Where the server finds LoRA weights that are not merged: a folder inside the model folder."""
PROGRESS_DEADLINE = "serving.knative.dev/progress-deadline"
"""Annotation: Knative gives a revision up that is not ready after ten minutes unless it says more."""
LOADING_S = 1200
"""Seconds that loading may take: what KServe's own runtime for vLLM gives its start."""
PROBED_EVERY_S = 10
OFFLINE = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
"""Everything comes from the storage URI: the server asks no hub, and reports its use to nobody."""


def served_name(spec: ModelSpec) -> str:
    """What the weights in the model folder's top level are called; callers ask for the adapter where it is apart."""
    return f"{spec.name}-base" if spec.training.adapter == "separate" else spec.name


def arguments(spec: ModelSpec, service: str) -> list[str]:
    """What is appended to the runtime's own arguments in the InferenceService ``service``.

    [] for a runtime whose arguments are not known.
    """
    own = stock_arguments(spec.serving.runtime, service)
    return [option for option in _options(spec) if option not in own]


def _options(spec: ModelSpec) -> list[str]:
    engine, name = spec.serving.engine, served_name(spec)
    shared = f"--tensor-parallel-size={engine.tensor_parallel}"
    tensor = [shared] if engine.tensor_parallel > 1 else []
    if spec.serving.runtime == HUGGINGFACESERVER:
        return [f"--model_name={name}", f"--backend={engine.backend}", *tensor, *vllm_options(spec, "--max_model_len")]
    if spec.serving.runtime == VLLMSERVER:
        return [f"--served-model-name={name}", *finishing_options(spec.serving), *tensor, *vllm_options(spec)]
    return []


def vllm_options(spec: ModelSpec, length: str = "--max-model-len") -> list[str]:
    """The engine's options besides name and tensor parallelism; ``length`` is how the window's option is spelt."""
    engine = spec.serving.engine
    options = []
    if engine.max_model_len is not None:
        options.append(f"{length}={engine.max_model_len}")
    if engine.dtype != "auto":
        options.append(f"--dtype={engine.dtype}")
    if engine.gpu_memory_utilization is not None:
        options.append(f"--gpu-memory-utilization={engine.gpu_memory_utilization}")
    if spec.training.adapter == "separate":
        options += ["--enable-lora", f"--lora-modules={spec.name}={ADAPTER}", *_rank(spec)]
    return options


def _rank(spec: ModelSpec) -> list[str]:
    """vLLM refuses an adapter of a higher rank than 16 unless it is told (MaxLoRARanks in vllm/config/lora.py)."""
    rank = spec.training.lora_rank
    highest = next(allowed for allowed in VLLM_RANKS if allowed >= rank)
    return [f"--max-lora-rank={highest}"] if highest > VLLM_RANKS[0] else []


def probes(spec: ModelSpec) -> Document:
    """What the runtime itself lacks.

    KServe's runtime for vLLM has its own. huggingfaceserver has none: its port opens before vLLM has the weights, and
    `/v2/health/ready` always says yes (dataplane.py); the model's own path asks the engine.
    """
    if spec.serving.runtime != HUGGINGFACESERVER:
        return {}
    fields: Document = {"readinessProbe": _ready(spec, failures=3)}
    if spec.serving.deployment_mode == "Standard":  # Knative starts by the readiness probe, within its deadline
        fields["startupProbe"] = _ready(spec, failures=LOADING_S // PROBED_EVERY_S)
    return fields


def _ready(spec: ModelSpec, failures: int) -> Document:
    request = {"path": f"/v2/models/{served_name(spec)}/ready", "port": HTTP_PORT}
    return {"httpGet": request, "periodSeconds": PROBED_EVERY_S, "timeoutSeconds": 5, "failureThreshold": failures}
