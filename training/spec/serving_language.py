"""What of serving a language model no cluster would do as written: refused with the field that mends it.

The rules follow KServe 0.20 and later: its huggingfaceserver (python/huggingfaceserver), its runtime for vLLM
(delivery/kserve/stock_runtimes.yaml) and its resource LLMInferenceService (pkg/apis/serving/v1alpha2).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.spec.serving import ServingSpec

HUGGINGFACESERVER = "kserve-huggingfaceserver"
VLLMSERVER = "kserve-vllmserver"
KSERVE_WITH_LLM_RESOURCE = (0, 21)
"""Whose LLMInferenceService, v1alpha2, has every field that is rendered."""

VLLM_RANKS = (16, 32, 64, 128, 256, 320, 512)
"""What vLLM can be told of an adapter's rank; 16 unless told."""


def check_language_serving(serving: "ServingSpec") -> None:
    """Raises ValueError where resource, engine and runtime don't go together."""
    if serving.protocol == "openai":
        _check_engine(serving)
        if serving.resource == "LLMInferenceService":
            _check_llm_resource(serving)
        return
    if serving.resource == "LLMInferenceService":
        raise ValueError(
            f"resource: LLMInferenceService serves language models only, and protocol is {serving.protocol}; "
            "leave resource out"
        )
    if serving.engine != type(serving.engine)():
        raise ValueError(f"engine: it is a language model's, and protocol is {serving.protocol}; leave engine out")


def check_adapter_is_served(serving: "ServingSpec", rank: int) -> None:
    """Raises ValueError unless the runtime serves LoRA weights beside those of the base model."""
    if serving.runtime not in (HUGGINGFACESERVER, VLLMSERVER):
        raise ValueError(
            f"training.adapter: separate needs serving.runtime: {HUGGINGFACESERVER} or {VLLMSERVER}, which vLLM serves "
            f"adapters in; {serving.runtime} is not known to. Write adapter: merged"
        )
    if serving.runtime == HUGGINGFACESERVER and serving.engine.backend != "vllm":
        raise ValueError(
            f"training.adapter: separate needs serving.engine.backend: vllm; the backend {serving.engine.backend} may "
            "pass over the adapter without a word, and the base model would answer. Write that, or adapter: merged"
        )
    if rank > VLLM_RANKS[-1]:
        raise ValueError(
            f"training.hyperparameters.lora_rank: {rank}, and vLLM serves adapters up to {VLLM_RANKS[-1]}; lower it, "
            "or write adapter: merged"
        )


def _check_engine(serving: "ServingSpec") -> None:
    engine, accelerator = serving.engine, serving.resources.accelerator
    if serving.runtime not in (HUGGINGFACESERVER, VLLMSERVER):
        if engine != type(engine)():
            raise ValueError(
                f"engine: which arguments {serving.runtime} takes is not known; leave engine out, and write them into "
                "its ServingRuntime"
            )
        return
    if engine.backend == "huggingface":
        if serving.runtime == VLLMSERVER:
            raise ValueError(f"engine.backend: huggingface is of {HUGGINGFACESERVER}; {VLLMSERVER} runs vLLM")
        for name in ("tensor_parallel", "gpu_memory_utilization"):
            if name in engine.model_fields_set:
                raise ValueError(f"engine.{name} is vLLM's, and engine.backend is huggingface; leave one of them out")
        return
    gpus = accelerator.count if accelerator else 0
    if engine.tensor_parallel > max(gpus, 1):
        raise ValueError(
            f"engine.tensor_parallel: {engine.tensor_parallel} GPUs share the layers, and resources.accelerator has "
            f"{gpus}; write equal numbers"
        )
    if gpus > engine.tensor_parallel:
        raise ValueError(
            f"resources.accelerator.count: {gpus} GPUs, and engine.tensor_parallel is {engine.tensor_parallel}, so "
            "the others would be held and not used; write equal numbers"
        )
    if engine.gpu_memory_utilization is not None and not gpus:
        raise ValueError("engine.gpu_memory_utilization: there is no GPU; add resources.accelerator, or leave it out")


def _check_llm_resource(serving: "ServingSpec") -> None:
    if (serving.runtime, serving.model_format) != (VLLMSERVER, "vLLM"):
        raise ValueError(
            "resource: LLMInferenceService runs vLLM, and the gate proves the model on the runtime that is named; "
            f"write runtime: {VLLMSERVER}, model_format: vLLM"
        )
    if tuple(map(int, serving.kserve.split("."))) < KSERVE_WITH_LLM_RESOURCE:
        raise ValueError(
            f"resource: KServe {serving.kserve} lacks fields of LLMInferenceService that are used; it needs "
            'kserve: "0.21" or newer'
        )
    scaling = serving.scaling
    if scaling.min_replicas == 0:
        raise ValueError(
            "scaling.min_replicas: 0 is not to be had with resource: LLMInferenceService; use InferenceService"
        )
    if scaling.autoscaler != "default" or scaling.metric or scaling.min_replicas != scaling.max_replicas:
        raise ValueError(
            "scaling: with resource: LLMInferenceService the number of replicas is fixed; set min_replicas and "
            "max_replicas to the same number and nothing else, or use InferenceService"
        )
    absent = {
        "canary": serving.canary is not None,
        "deployment_mode: Knative": serving.deployment_mode == "Knative",
        "payload_log": serving.payload_log is not None,
        "timeout_s": serving.timeout_s is not None,
    }
    if serving.gateway and serving.gateway.hostname:
        # An HTTPRoute's spec of ours would replace KServe's rules: the CRD fills `rules` in where they are left out.
        raise ValueError(
            f"gateway.hostname: {serving.gateway.hostname} would do nothing; KServe makes the route of an "
            "LLMInferenceService, for every host name of the gateway's listener. Leave it out, and give the listener "
            "the host name, or use InferenceService"
        )
    for field, given in absent.items():
        if given:
            raise ValueError(
                f"{field} is not to be had with resource: LLMInferenceService; leave it out, or use InferenceService"
            )
