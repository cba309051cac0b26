"""A language model as KServe's LLMInferenceService: vLLM behind a Gateway API route, without a ServingRuntime.

KServe lays the fields over its own preset (config/llmisvcconfig/config-llm-template.yaml), which has image, probes,
/dev/shm and the command that serves /mnt/models under `model.name`. A container's arguments would replace those of the
preset; VLLM_ADDITIONAL_ARGS is appended to them.
"""

import re

from delivery.kserve.documents import Document
from delivery.kserve.draining import llm_draining
from delivery.kserve.language_server import OFFLINE, served_name, vllm_options
from delivery.kserve.manifest import LLM_KIND, check_storage_uri
from delivery.kserve.pods import environment_entries, placement
from delivery.kserve.quantities import quantities
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.serving import ServingSpec


def llm_inference_service(spec: ModelSpec, storage_uri: str, annotations: dict[str, str]) -> Document:
    """The LLMInferenceService of a version. Raises InputError for a storage URI that it can't fetch."""
    serving = spec.serving
    fields: Document = {
        "model": {"uri": _check_fetched(storage_uri), "name": served_name(spec)},
        "replicas": serving.scaling.min_replicas,
        "rolloutStrategy": _rollout(serving),
    }
    if serving.engine.tensor_parallel > 1:
        fields["parallelism"] = {"tensor": serving.engine.tensor_parallel}
    gateway = serving.gateway
    refs = {"refs": [{"name": gateway.name, "namespace": gateway.namespace}]} if gateway else {}
    fields["router"] = {"gateway": refs, "route": {}}
    fields["template"] = _template(spec)
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": LLM_KIND,
        "metadata": {"name": spec.name, "namespace": serving.namespace, "annotations": annotations},
        "spec": fields,
    }


def _check_fetched(uri: str) -> str:
    """LLMInferenceService knows fewer schemes than InferenceService (workload_storage.go of its controller)."""
    if not re.match(r"(s3|oci)://", check_storage_uri(uri)):
        raise InputError(
            f"storage URI {uri!r} can't be served by an LLMInferenceService, which fetches s3:// and oci:// only: use "
            "such an artifact store, serving.oci_repository, or resource: InferenceService"
        )
    return uri


def _rollout(serving: ServingSpec) -> Document:
    return {"maxSurge": 0, "maxUnavailable": 1} if serving.recreates else {"maxSurge": 1, "maxUnavailable": 0}


def _template(spec: ModelSpec) -> Document:
    resources = quantities(spec.serving.resources)
    variables = dict(OFFLINE)
    options = vllm_options(spec)
    if options:
        variables["VLLM_ADDITIONAL_ARGS"] = " ".join(options)
    main: Document = {
        "name": "main",
        "resources": {"requests": resources, "limits": dict(resources)},
        "env": environment_entries(spec.serving, variables),
    }
    placed = {**placement(spec.serving), **llm_draining()}
    return {"serviceAccountName": spec.name, **placed, "containers": [main]}
