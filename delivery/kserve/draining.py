"""How a pod ends without a lost request.

For 0.6 to 0.9 s after a pod is told to end it still gets requests (measured, Kubernetes 1.35.4 with an Envoy gateway):
the kubelet and whoever routes learn of it at the same time. So the container waits in ``preStop`` before it gets
SIGTERM, and the pod may live for that and for the longest request.

Knative has both already: its queue-proxy waits, and a revision's grace period is its time-out. Its webhook takes
neither field (knative/serving at 98e5ef90aa70, pkg/apis/serving/fieldmask.go and
pkg/reconciler/revision/resources/deploy.go).
"""

from delivery.kserve.documents import Document
from training.spec.serving import ServingSpec
from training.spec.serving_language import VLLMSERVER

DRAIN_S = 5
"""How long a pod that ends goes on as before: five times what was measured."""
LONGEST_REQUEST_S = 60
"""KServe's route gives a request up then unless `timeout` says else (DefaultTimeout, httproute_reconciler.go)."""
STOCK_FINISH_S = 30
"""What KServe's Python servers give the requests that they have at SIGTERM, without an option for more
(`grace_period`, model_server.py)."""
LLM_DRAIN_S = 15
"""`preStop` of KServe's preset for LLMInferenceService (config-llm-template.yaml). A second handler is not allowed."""
LLM_LONGEST_REQUEST_S = 600
"""Its route has no time-out (config-llm-router-route.yaml); OpenAI's clients give up after ten minutes."""
LLM_END_S = 5
"""The preset has vLLM finish within the grace period less `preStop` and this (`shutdownTimeout`, config_merge.go)."""


def longest_request_s(serving: ServingSpec) -> int:
    """Of an InferenceService."""
    return serving.timeout_s or LONGEST_REQUEST_S


def pod_draining(serving: ServingSpec) -> Document:
    """Of an InferenceService's predictor."""
    if serving.deployment_mode == "Knative":
        return {}
    return {"terminationGracePeriodSeconds": DRAIN_S + longest_request_s(serving)}


def container_draining(serving: ServingSpec, finishes: bool) -> Document:
    """Of its container. finishes: the server answers all that it has after SIGTERM, however long that takes."""
    if serving.deployment_mode == "Knative":
        return {}
    left = 0 if finishes else max(0, longest_request_s(serving) - STOCK_FINISH_S)
    return {"lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_S + left}}}}


def llm_draining() -> Document:
    """Of an LLMInferenceService's template; waiting is in KServe's preset."""
    return {"terminationGracePeriodSeconds": LLM_DRAIN_S + LLM_LONGEST_REQUEST_S + LLM_END_S}


def finishing_options(serving: ServingSpec) -> list[str]:
    """What makes vLLM finish its requests after SIGTERM; without it they are cut off. Known since vLLM 0.18."""
    return [f"--shutdown-timeout={longest_request_s(serving)}"] if serving.runtime == VLLMSERVER else []
