"""What of serving no cluster would do as written is refused, with the field that mends it."""

from typing import Any

import pytest
from release.candidates import model_spec

GPU = {"accelerator": {"type": "nvidia.com/gpu"}}
PROMETHEUS = {"address": "http://prometheus:9090", "query": "q", "target": 5}


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
