"""What of serving no cluster would do as written is refused, with the field that mends it."""

from typing import Any

import pytest
from harness.candidates import language_spec, model_spec

GPU = {"accelerator": {"type": "nvidia.com/gpu"}}
PROMETHEUS = {"address": "http://prometheus:9090", "query": "q", "target": 5}


@pytest.mark.parametrize("variable", ["PYTHONPATH", "LD_PRELOAD", "OSTINATO_MODEL_DIGEST"])
def test_no_secret_takes_the_place_of_what_decides_what_the_server_loads(variable: str) -> None:
    with pytest.raises(ValueError, match=f"secret_env: {variable} decides what the server loads"):
        model_spec(serving={"secret_env": {variable: {"secret": "s", "key": "k"}}})


def test_name_and_namespace_fit_into_one_part_of_a_host_name() -> None:
    model_spec(name="a" * 46)
    with pytest.raises(ValueError, match="1 characters longer than the 63"):
        model_spec(name="a" * 47)


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({"batching": {"max_batch_size": 8, "max_latency_ms": 5}}, "knows protocol v1 only"),
        ({"scaling": {"autoscaler": "keda"}}, "keda has nothing to scale on"),
        ({"scaling": {"metric": "cpu", "target": 101}}, "a percent of the request for cpu: at most 100"),
        ({"scaling": {"metric": "cpu"}}, "give metric and target together"),
        (
            {"deployment_mode": "Knative", "scaling": {"metric": "cpu", "target": 70}},
            "scaling.metric: cpu is not Knative's; use concurrency or rps",
        ),
        ({"scaling": {"min_replicas": 0}}, "would silently become 1 here"),
        ({"resources": GPU, "canary": {"percent": 10}}, "write rollout: surge if there are enough"),
        ({"kserve": "0.19", "canary": {"percent": 10}}, "KServe 0.19 ignores it"),
    ],
)
def test_what_no_cluster_would_do_as_written_is_refused(serving: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="serving") as caught:
        model_spec(serving=serving)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "serving",
    [
        {"protocol": "v1", "batching": {"max_batch_size": 8, "max_latency_ms": 5}},
        {"scaling": {"autoscaler": "keda", "metric": "memory", "target": 80}},
        {"scaling": {"min_replicas": 0, "autoscaler": "keda", "prometheus": PROMETHEUS}},
        {"deployment_mode": "Knative", "scaling": {"min_replicas": 0, "metric": "rps", "target": 300}},
        {"resources": GPU, "canary": {"percent": 10}, "rollout": "surge"},
    ],
)
def test_what_one_would_do_is_taken(serving: dict[str, Any]) -> None:
    assert model_spec(serving=serving)


VLLM = {"runtime": "kserve-vllmserver", "model_format": "vLLM"}
LLM = {**VLLM, "resource": "LLMInferenceService"}
GATEWAY = {"name": "public", "namespace": "gateways"}
TWO_GPUS = {"accelerator": {"type": "nvidia.com/gpu", "count": 2}}
SEPARATE = {"adapter": "separate"}


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({"resource": "LLMInferenceService"}, "serves language models only, and protocol is v2"),
        ({"engine": {"dtype": "float16"}}, "engine: it is a language model's"),
    ],
)
def test_what_is_for_language_models_only_is_refused_for_a_table(serving: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="serving") as caught:
        model_spec(serving=serving)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({"batching": {"max_batch_size": 8, "max_latency_ms": 5}}, "would batch nothing; leave batching out"),
        ({"engine": {"tensor_parallel": 2}}, "2 GPUs share the layers, and resources.accelerator has 0"),
        ({"engine": {"tensor_parallel": 4}, "resources": TWO_GPUS}, "resources.accelerator has 2"),
        ({"resources": TWO_GPUS}, "engine.tensor_parallel is 1, so the others would be held and not used"),
        ({"engine": {"gpu_memory_utilization": 0.9}}, "there is no GPU; add resources.accelerator"),
        ({"engine": {"backend": "huggingface", "tensor_parallel": 2}}, "engine.tensor_parallel is vLLM's"),
        (
            {"engine": {"backend": "huggingface", "gpu_memory_utilization": 0.9}, "resources": GPU},
            "engine.gpu_memory_utilization is vLLM's",
        ),
        ({**VLLM, "engine": {"backend": "huggingface"}}, "kserve-vllmserver runs vLLM"),
        ({"runtime": "our-server", "engine": {"max_model_len": 9}}, "which arguments our-server takes is not known"),
        ({"resource": "LLMInferenceService"}, "write runtime: kserve-vllmserver, model_format: vLLM"),
        ({**LLM, "model_format": "huggingface"}, "write runtime: kserve-vllmserver, model_format: vLLM"),
        ({**LLM, "kserve": "0.20"}, "KServe 0.20 lacks fields"),
        ({**LLM, "scaling": {"min_replicas": 0}}, "scaling.min_replicas: 0 is not to be had"),
        ({**LLM, "scaling": {"max_replicas": 3}}, "the number of replicas is fixed"),
        ({**LLM, "scaling": {"metric": "cpu", "target": 70}}, "the number of replicas is fixed"),
        ({**LLM, "scaling": {"autoscaler": "keda", "prometheus": PROMETHEUS}}, "the number of replicas is fixed"),
        ({**LLM, "canary": {"percent": 10}}, "canary is not to be had with resource: LLMInferenceService"),
        ({**LLM, "deployment_mode": "Knative"}, "deployment_mode: Knative is not to be had"),
        ({**LLM, "payload_log": {"url": "http://sink"}}, "payload_log is not to be had"),
        ({**LLM, "timeout_s": 60}, "timeout_s is not to be had"),
        ({**LLM, "gateway": {**GATEWAY, "hostname": "llm.example.org"}}, "gateway.hostname: llm.example.org would do"),
        ({"gateway": GATEWAY}, "gateway.hostname is missing; name the host that applications call"),
    ],
)
def test_what_no_language_server_would_do_as_written_is_refused(serving: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="serving") as caught:
        language_spec(**serving)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("training", "serving", "said"),
    [
        (SEPARATE, {}, "the backend auto may pass over the adapter"),
        (SEPARATE, {"engine": {"backend": "huggingface"}}, "the backend huggingface may pass over the adapter"),
        (SEPARATE, {"runtime": "our-server"}, "our-server is not known to"),
        ({**SEPARATE, "hyperparameters": {"method": "full"}}, VLLM, "the method is 'full'; leave adapter out"),
        ({**SEPARATE, "hyperparameters": {"lora_rank": 1024}}, VLLM, "vLLM serves adapters up to 512"),
    ],
)
def test_an_adapter_that_would_not_answer_is_refused(
    training: dict[str, Any], serving: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=r"training\.") as caught:
        language_spec(training=training, **serving)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "serving",
    [
        {"engine": {"tensor_parallel": 2}, "resources": TWO_GPUS},
        {"engine": {"backend": "huggingface"}, "resources": TWO_GPUS},
        {"runtime": "our-server", "resources": TWO_GPUS},
        {"payload_log": {"url": "http://sink"}, "timeout_s": 60},
        {"canary": {"percent": 10}},
        {"deployment_mode": "Knative", "scaling": {"min_replicas": 0, "metric": "concurrency", "target": 4}},
        {"scaling": {"min_replicas": 0, "autoscaler": "keda", "prometheus": PROMETHEUS}},
        {**LLM, "scaling": {"min_replicas": 3, "max_replicas": 3}},
        {**LLM, "gateway": GATEWAY},
        {"gateway": {**GATEWAY, "hostname": "llm.example.org"}},
    ],
)
def test_what_a_language_server_would_do_is_taken(serving: dict[str, Any]) -> None:
    assert language_spec(**serving)
    assert language_spec(training=SEPARATE, **VLLM)
