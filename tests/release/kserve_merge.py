"""KServe's merges of an InferenceService, as its source has them; a test compares what comes of them.

A container over its runtime's: read at https://github.com/kserve/kserve/tree/1fb781055dd1567164358233e1125142ca6ef1fe
(0.20.0), MergeRuntimeContainers in pkg/controller/v1beta1/inferenceservice/utils/utils.go and MergeContainerWithPatch
in pkg/utils/container_merge.go, which is Kubernetes' strategic merge patch.

A canary over the live predictor: read at https://github.com/kserve/kserve/tree/aaac4e29 (after 0.20.0),
buildCanaryPredictor in pkg/controller/v1beta1/inferenceservice/components/predictor.go: `mergo.Merge` of
dario.cat/mergo 1.0.2 with WithOverride, over a copy of the live one. Its rules (deepMerge in merge.go, read at
https://github.com/darccio/mergo/tree/00efb7c877258f6da8a8d473611ff6f2f3e0fb57) were tried with the library itself,
0.3.12, on structs of these shapes: a struct is merged field by field, also behind a pointer; a map key by key, where an
empty text counts; a list that is not empty takes the other's place as a whole; of anything else, what is not empty
(false, 0, "") does, and what the live one has not is taken as it is.
"""

import copy
import math
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


GO_MAPS = ("nodeSelector", "annotations", "labels", "limits", "requests")
"""The mappings that are maps in Go; the others are structs."""
NO_CANARY_HAS = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def canary_replicas(service: Document) -> int:
    """How many pods the one canary of an InferenceService gets (canaryReplicaCount)."""
    (canary,) = service["spec"]["canary"]
    share = service["spec"]["predictor"].get("minReplicas", 1) * canary["trafficPercent"] / 100
    return canary["predictor"].get("minReplicas", math.ceil(share))


def live_replicas(service: Document) -> int:
    """How many pods the live version keeps at least while the canary is ready (adjustStableMinReplicasForCanaries)."""
    return max(service["spec"]["predictor"]["minReplicas"] - canary_replicas(service), 1)


def merge_canary(service: Document) -> Document:
    """The predictor that an InferenceService's one canary runs as."""
    (canary,) = service["spec"]["canary"]
    merged = merge_over(service["spec"]["predictor"], canary["predictor"])
    left = {field: value for field, value in merged.items() if field not in NO_CANARY_HAS}
    return left | {"minReplicas": canary_replicas(service)}


def merge_over(live: Document, canary: Document, is_map: bool = False) -> Document:
    """``mergo.Merge(&live, canary, mergo.WithOverride)``."""
    merged = copy.deepcopy(live)
    for field, value in canary.items():
        old = merged.get(field)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[field] = merge_over(old, value, field in GO_MAPS)
        elif is_map or old is None or (value and not _was_named(field, old, value)):
            merged[field] = value
    return merged


def _was_named(field: str, old: Any, value: Any) -> bool:
    """A port by its name is a struct (IntOrString) whose kind, String, no number overrides: Int is 0, and so empty."""
    return field == "port" and isinstance(old, str) and isinstance(value, int)


def _fill(value: Any, service: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, service) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, service) for inner in value]
    return value.replace(SERVICE_NAME, service) if isinstance(value, str) else value
