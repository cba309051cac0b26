"""A service as the cluster has it, held against what git renders. Nothing is read or written.

Argo CD shows and undoes what differs in a field that git names. Under server-side apply a field has an owner, so what
somebody adds beside it by hand is neither shown nor taken away; here it is. What KServe's webhook fills in is left out:
recorded on Kubernetes 1.35.4 with KServe aaac4e29 (after 0.20.0), and by its source at that commit
(pkg/apis/serving/v1beta1/inference_service_defaults.go).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from delivery.kserve.documents import Document
from delivery.kserve.manifest import PREFIX

_NOTHING = object()
_FILLED_IN = {
    "metadata.annotations.modelFormat",
    "metadata.annotations.argocd.argoproj.io/tracking-id",
    "metadata.annotations.internal.serving.kserve.io/localmodel-sourceuri",
    "metadata.annotations.internal.serving.kserve.io/localmodel-pvc-name",
    "metadata.labels.internal.serving.kserve.io/localmodel",
    "metadata.labels.app.kubernetes.io/instance",
    "spec.predictor.automountServiceAccountToken",
}
"""By KServe's webhook, and by Argo CD to know its own."""
_EMPTY_NAME = "spec.predictor.model.name"
"""KServe writes it as ""; with a text in it, somebody did."""
_NAMED = "name"
"""Key by which the entries of Kubernetes' lists are told apart."""


@dataclass(frozen=True)
class FieldDifference:
    """One field in which the live object is not what git renders."""

    field: str
    """Dotted, such as ``spec.predictor.minReplicas``; an entry of a list is named in brackets."""
    git: Any
    """None where git does not name the field: then it was added by hand."""
    cluster: Any
    """None where the cluster does not have it."""


def differences(rendered: Document, service: Document) -> list[FieldDifference]:
    """Annotations, labels and spec that differ, in the order of their names.

    rendered: the document of the manifest; service: the object as the API server gives it. Left out are KServe's
    defaults, what the API server itself writes (other metadata) and the status.
    """
    parts = ("metadata.annotations", "metadata.labels", "spec")
    pairs = ((part, _at(rendered, part) or {}, _at(service, part) or {}) for part in parts)
    fields = (difference for pair in pairs for difference in _compare(*pair))
    return sorted(fields, key=lambda difference: difference.field)


def model_version(service: Document) -> str:
    """The version that the object names, "" for one that no release wrote."""
    return str((_at(service, "metadata.annotations") or {}).get(f"{PREFIX}model-version") or "")


def _compare(field: str, git: Any, cluster: Any) -> Iterator[FieldDifference]:
    if git == cluster or field in _FILLED_IN or (field == _EMPTY_NAME and git is _NOTHING and cluster == ""):
        return
    if isinstance(git, dict) and isinstance(cluster, dict):
        yield from _compare_mappings(f"{field}.{{}}", git, cluster)
    elif _is_named(git) and _is_named(cluster):
        by_name = ({entry[_NAMED]: entry for entry in entries} for entries in (git, cluster))
        yield from _compare_mappings(f"{field}[{{}}]", *by_name)
    elif isinstance(git, list) and isinstance(cluster, list) and len(git) == len(cluster):
        for position, (ours, theirs) in enumerate(zip(git, cluster, strict=True)):
            yield from _compare(f"{field}[{position}]", ours, theirs)
    else:
        yield FieldDifference(field, *(None if value is _NOTHING else value for value in (git, cluster)))


def _compare_mappings(shape: str, git: dict[str, Any], cluster: dict[str, Any]) -> Iterator[FieldDifference]:
    for key in {**git, **cluster}:
        yield from _compare(shape.format(key), git.get(key, _NOTHING), cluster.get(key, _NOTHING))


def _is_named(entries: Any) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, dict) and _NAMED in entry for entry in entries)


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
