"""Strict JSON Schemas of what is committed besides InferenceServices, written by hand from the published APIs.

They take the fields that are rendered and refuse all others; the types, patterns and enums are those of Kubernetes 1.36
(core/v1 ServiceAccount) and of the Gateway API 1.4 (gateway.networking.k8s.io/v1 HTTPRoute).
"""

from typing import Any


def closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


SUBDOMAIN = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
LABEL = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
ANNOTATIONS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = closed(("name", "namespace"), name=SUBDOMAIN, namespace=LABEL, annotations=ANNOTATIONS)

SERVICE_ACCOUNT = closed(
    ("apiVersion", "kind", "metadata"),
    apiVersion={"const": "v1"},
    kind={"const": "ServiceAccount"},
    metadata=METADATA,
    automountServiceAccountToken={"type": "boolean"},
    secrets={"type": "array", "items": closed(("name",), name=SUBDOMAIN)},
)

_SERVICE = {
    "group": {"const": ""},
    "kind": {"const": "Service"},
    "name": LABEL,
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_BACKEND = closed(("name", "port"), **_SERVICE)
_WEIGHTED = closed(("name", "port"), **_SERVICE, weight={"type": "integer", "minimum": 0, "maximum": 1_000_000})
_PATH = closed(
    ("type", "value"),
    type={"enum": ["Exact", "PathPrefix", "RegularExpression"]},
    value={"type": "string", "pattern": "^/", "maxLength": 1024},
)
_HEADER = closed(("name", "value"), name={"type": "string", "maxLength": 256}, value={"type": "string"})
_MIRROR = closed(
    ("type", "requestMirror"),
    type={"const": "RequestMirror"},
    requestMirror=closed(("backendRef",), backendRef=_BACKEND),
)
_HEADERS = closed(
    ("type", "requestHeaderModifier"),
    type={"const": "RequestHeaderModifier"},
    requestHeaderModifier=closed((), set={"type": "array", "maxItems": 16, "items": _HEADER}),
)
_FILTER = {"oneOf": [_MIRROR, _HEADERS]}
_RULE = closed(
    ("backendRefs",),
    matches={"type": "array", "minItems": 1, "maxItems": 64, "items": closed((), path=_PATH)},
    filters={"type": "array", "maxItems": 16, "items": _FILTER},
    backendRefs={"type": "array", "maxItems": 16, "items": _WEIGHTED},
    timeouts=closed((), request={"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}),
)
_PARENT = closed(
    ("name",), group={"const": "gateway.networking.k8s.io"}, kind={"const": "Gateway"}, namespace=LABEL, name=SUBDOMAIN
)
HTTP_ROUTE = closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "gateway.networking.k8s.io/v1"},
    kind={"const": "HTTPRoute"},
    metadata=METADATA,
    spec=closed(
        ("parentRefs", "rules"),
        parentRefs={"type": "array", "maxItems": 32, "items": _PARENT},
        hostnames={"type": "array", "maxItems": 16, "items": SUBDOMAIN},
        rules={"type": "array", "minItems": 1, "maxItems": 16, "items": _RULE},
    ),
)
