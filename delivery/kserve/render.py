"""Rendering: what KServe is to run for one model version, so that equal input gives equal bytes.

Each function gives plain mappings in the order in which they are written. Names are KServe's
(`serving.kserve.io/v1beta1`); a comment says where one is not told by the CRD alone.
"""

from delivery.kserve.documents import Document
from delivery.kserve.draining import container_draining, pod_draining
from delivery.kserve.language_server import LOADING_S, OFFLINE, PROGRESS_DEADLINE, arguments, probes
from delivery.kserve.llm_service import llm_inference_service
from delivery.kserve.manifest import DEPLOYMENT_MODE, Manifest, ServedVersion, check_storage_uri, fact_annotations
from delivery.kserve.parse import manifest_of
from delivery.kserve.pods import environment_entries, placement
from delivery.kserve.quantities import canonical_quantity, quantities
from delivery.kserve.stock_runtimes import stock_container
from training.spec import ModelSpec
from training.spec.serving import Scaling, ServingSpec
from training.spec.serving_language import VLLMSERVER

AUTOSCALER = "serving.kserve.io/autoscalerClass"
MODEL_DIGEST_ENV = "OSTINATO_MODEL_DIGEST"
"""Names the digest of the folder that the server is to load; it refuses another."""
OUR_RUNTIMES = ("ostinato-mlflow",)
"""They write nothing outside /tmp. KServe's stock images are not made for a read-only root file system."""
RUN_AS_ROOT = (VLLMSERVER,)
"""vLLM's own image has no other user, and the kubelet would not start it."""
MODEL_USER = 10001
"""User and group of our runtime's container (manifests/runtimes/ostinato-mlflow.yaml)."""
TMP_SIZE = "64Mi"


def render(spec: ModelSpec, served: ServedVersion, previous_version: str, commit: str = "") -> Manifest:
    """The manifest of a version that gets all requests, made from what is live at ``commit``.

    ``previous_version`` is "" for a first release. Raises InputError for a storage URI that can move or can't be
    fetched by KServe.
    """
    if spec.serving.resource == "LLMInferenceService":
        service = llm_inference_service(spec, served.storage_uri, annotated_facts(spec, served, previous_version))
    else:
        service = inference_service(spec, spec.name, served, previous_version)
    return manifest_of([service_account(spec), service], spec.name, commit)


def annotated_facts(spec: ModelSpec, served: ServedVersion, previous_version: str) -> dict[str, str]:
    """What leads from the running service back to what it was made from, as annotations."""
    facts = {
        "registered-model": spec.registered_name,
        "model-version": served.version,
        "previous-version": previous_version,
        "model-digest": served.digest,
        "data-fingerprint": served.data_fingerprint,
        "verdict-digest": served.verdict_digest,
        "code-version": served.code_version,
        "spec-digest": served.spec_digest,
        "protocol": "openai" if spec.serving.protocol == "openai" else "",  # KServe has no word for it
    }
    return fact_annotations(facts)


def service_account(spec: ModelSpec) -> Document:
    """The account that the model's pods run as: who may read its artifacts, and nothing in the cluster."""
    serving = spec.serving
    metadata: Document = {"name": spec.name, "namespace": serving.namespace}
    if serving.service_account_annotations:
        metadata["annotations"] = dict(sorted(serving.service_account_annotations.items()))
    account: Document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    account["automountServiceAccountToken"] = False
    if serving.storage_secret:
        account["secrets"] = [{"name": serving.storage_secret}]
    return account


def inference_service(spec: ModelSpec, name: str, served: ServedVersion, previous_version: str) -> Document:
    """The InferenceService ``name`` that runs a version as the spec says."""
    serving = spec.serving
    model = container(spec, served.storage_uri, served.digest, name)
    annotations = {DEPLOYMENT_MODE: serving.deployment_mode}
    if serving.scaling.autoscaler == "keda":
        annotations[AUTOSCALER] = "keda"
    if serving.deployment_mode == "Knative" and serving.protocol == "openai":
        annotations[PROGRESS_DEADLINE] = f"{LOADING_S}s"
    annotations |= annotated_facts(spec, served, previous_version)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": serving.namespace, "annotations": annotations},
        "spec": {"predictor": {**scaling(serving), **pod(spec, served.storage_uri), "model": model}},
    }


def scaling(serving: ServingSpec) -> Document:
    """How many replicas, what decides, and how a new version takes over."""
    limits = serving.scaling
    fields: Document = {"minReplicas": limits.min_replicas, "maxReplicas": limits.max_replicas}
    if limits.autoscaler == "keda":
        fields["autoScaling"] = {"metrics": _keda_metrics(limits)}
    elif limits.metric:
        fields |= {"scaleMetric": limits.metric, "scaleTarget": limits.target}
    if serving.deployment_mode == "Standard":  # KServe refuses a strategy in Knative, which always surges
        fields["deploymentStrategy"] = _strategy(serving)
    return fields


def _strategy(serving: ServingSpec) -> Document:
    if serving.recreates:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _keda_metrics(limits: Scaling) -> list[Document]:
    metrics: list[Document] = []
    if limits.metric:
        target = {"type": "Utilization", "averageUtilization": limits.target}
        metrics.append({"type": "Resource", "resource": {"name": limits.metric, "target": target}})
    if limits.prometheus:
        trigger = limits.prometheus
        metric = {"backend": "prometheus", "serverAddress": trigger.address, "query": trigger.query}
        # KServe's keda_reconciler.go reads target.value whatever the type says.
        target = {"type": "Value", "value": canonical_quantity(str(trigger.target))}
        metrics.append({"type": "External", "external": {"metric": metric, "target": target}})
    return metrics


def pod(spec: ModelSpec, storage_uri: str) -> Document:
    """What the predictor's pods share: account, security, nodes, logging."""
    serving = spec.serving
    fields: Document = {"serviceAccountName": spec.name}
    if serving.deployment_mode == "Standard":
        # Knative refuses a pod's security context unless the feature kubernetes.podspec-securitycontext is on
        # (knative.dev/docs/serving/configuration/feature-flags); its container says so instead.
        fields["securityContext"] = {**_confined(serving), **_shared_user(serving, storage_uri)}
    fields |= placement(serving) | pod_draining(serving)
    if serving.timeout_s:
        fields["timeout"] = serving.timeout_s
    if serving.payload_log:
        fields["logger"] = {"mode": serving.payload_log.mode, "url": serving.payload_log.url}
    if serving.batching:
        # maxLatency is in milliseconds: KServe's pkg/batcher/handler.go.
        batching = serving.batching
        fields["batcher"] = {"maxBatchSize": batching.max_batch_size, "maxLatency": batching.max_latency_ms}
    if serving.runtime in OUR_RUNTIMES:
        fields["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": TMP_SIZE}}]
    return fields


def _confined(serving: ServingSpec) -> Document:
    user = {} if serving.runtime in RUN_AS_ROOT else {"runAsNonRoot": True}
    return {**user, "seccompProfile": {"type": "RuntimeDefault"}}


def _shared_user(serving: ServingSpec, storage_uri: str) -> Document:
    """User and group of every container of a pod whose model is an image.

    A modelcar is a container of its own. The server reads its files through /proc, which wants an equal user and an
    equal group, and an image without a user does not start beside `runAsNonRoot` (seen with KServe aaac4e294dae). A
    runtime that names a user keeps it: it goes before the pod's.
    """
    if not storage_uri.startswith("oci://") or serving.runtime in RUN_AS_ROOT:
        return {}
    user = stock_container(serving.runtime).get("securityContext", {}).get("runAsUser", MODEL_USER)
    return {"runAsUser": user, "runAsGroup": MODEL_USER}


def container(spec: ModelSpec, storage_uri: str, digest: str, service: str) -> Document:
    """The model in the InferenceService ``service``: which runtime loads which files, with what, what it may do."""
    serving = spec.serving
    ours, knative = serving.runtime in OUR_RUNTIMES, serving.deployment_mode == "Knative"
    speaks_openai = serving.protocol == "openai"
    resources = quantities(serving.resources)
    fields: Document = {
        "modelFormat": {"name": serving.model_format},
        "runtime": serving.runtime,
        # KServe refuses a word that the runtime does not list; those that speak OpenAI's protocol list v2.
        "protocolVersion": "v2" if speaks_openai else serving.protocol,
        "storageUri": check_storage_uri(storage_uri),
        "resources": {"requests": resources, "limits": dict(resources)},
    }
    if speaks_openai:
        fields |= probes(spec)
        if options := arguments(spec, service):
            fields["args"] = options
    variables = {MODEL_DIGEST_ENV: digest} if ours else OFFLINE if speaks_openai else {}
    if env := environment_entries(serving, variables):
        fields["env"] = env
    fields["securityContext"] = {
        **(_confined(serving) if knative else {}),
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        **({"readOnlyRootFilesystem": True} if ours else {}),
    }
    if not ours:  # ours has it in its ServingRuntime
        fields["terminationMessagePolicy"] = "FallbackToLogsOnError"
    fields |= container_draining(serving, finishes=ours or serving.runtime == VLLMSERVER)
    if ours:
        fields["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
    return fields
