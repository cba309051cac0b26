"""KServe's merges of an InferenceService, as its source has them; a test compares what comes of them.

Read at https://github.com/kserve/kserve/tree/1fb781055dd1567164358233e1125142ca6ef1fe (0.20.0): MergeRuntimeContainers
in pkg/controller/v1beta1/inferenceservice/utils/utils.go and MergeContainerWithPatch in pkg/utils/container_merge.go,
which is Kubernetes' strategic merge patch.
"""

from typing import Any

from delivery.kserve.documents import Document
from delivery.kserve.stock_runtimes import SERVICE_NAME

MERGED_BY = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath"}
"""Lists of a container whose entries are merged by a key (`patchMergeKey`, k8s.io/api/core/v1); others are replaced."""


def merge_container(runtime: Document, model: Document, service: str) -> Document:
    """The container that runs: the model's fields laid over the runtime's, arguments appended."""
    merged = _merge(runtime, model)
    merged["args"] = [*runtime.get("args", []), *model.get("args", [])]
    return _fill(merged, service)


def _merge(under: Document, over: Document) -> Document:
    merged = dict(under)
    for field, value in over.items():
        old = merged.get(field)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[field] = _merge(old, value)
        elif isinstance(old, list) and field in MERGED_BY:
            key = MERGED_BY[field]
            entries = {entry[key]: entry for entry in old}
            entries |= {entry[key]: entry for entry in value}
            merged[field] = list(entries.values())
        else:
            merged[field] = value
    return merged


def _fill(value: Any, service: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, service) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, service) for inner in value]
    return value.replace(SERVICE_NAME, service) if isinstance(value, str) else value
