"""Kubernetes' own rules for the texts of a spec that end up in a manifest.

An API server refuses what breaks one. Where a custom resource holds the text, it knows no rule and takes it, and KServe
then never makes the pod: keys of node selectors, names and keys of Secrets (seen with KServe aaac4e294dae). So every
one is checked before training.

The rules are those of https://github.com/kubernetes/apimachinery/tree/eed236ceee2c19c2753a3d93ac0631dc20750454:
pkg/api/validate/content/kube.go and dns.go, pkg/util/validation/validation.go and pkg/api/validation/objectmeta.go.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import core_schema

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_HOST_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = rf"{_HOST_LABEL}(\.{_HOST_LABEL})*"
_ANY_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?"
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_IMAGE_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"


@dataclass(frozen=True)
class TextRule:
    """What a text may be. Laid on a field's type, it checks the value and gives editors the pattern."""

    kind: str
    """What the text is, with its article."""
    pattern: str
    """Of the whole text; with ``prefixed`` of what comes after the prefix."""
    fix: str
    """What to write."""
    longest: int | None = None
    """In characters."""
    prefixed: bool = False
    """Whether a DNS name and a slash may come before it, with a length of their own."""
    any_case: bool = False
    """Whether capitals count as small letters."""

    def check(self, text: str) -> str:
        """The text itself. Raises ValueError that says the rule and what to write."""
        name = text
        if self.prefixed and "/" in text:
            prefix, _, name = text.partition("/")
            self._check_part(prefix, DNS_NAME.pattern, DNS_NAME.longest)
            self._check_part(name, ".+", None)
        self._check_part(name, self.pattern, self.longest)
        return text

    def _check_part(self, text: str, pattern: str, longest: int | None) -> None:
        if longest is not None and len(text) > longest:
            part = f" on a side of the slash of {self.kind}" if self.prefixed else f" of {self.kind}"
            raise ValueError(f"{len(text)} characters{part}, and {longest} are allowed; shorten it")
        if not re.fullmatch(pattern, text.lower() if self.any_case else text):
            raise ValueError(f"this is not {self.kind}: {self.fix}")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        described: dict[str, Any] = {**handler(schema)}
        if not self.any_case:
            before = f"({DNS_NAME.pattern}/)?" if self.prefixed else ""
            described["pattern"] = f"^{before}({self.pattern})$"
        if self.longest is not None and not self.prefixed:
            described["maxLength"] = self.longest
        return described


_DOTTED = (
    "lower-case letters, digits and -, in parts that dots divide; each part begins and ends with a letter or digit"
)
_WORD = "letters, digits, -, _ and ., with a letter or digit at either end"
_PREFIX = "with or without a DNS name and a slash before it"

DNS_NAME = TextRule("a DNS name", rf"{_LABEL}(\.{_LABEL})*", f"write {_DOTTED}", 253)
MODEL_NAME = TextRule(
    "the name of a model",
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    "write lower-case letters, digits and -, begin with a letter and end without a -: demand-forecaster",
    48,
)
"""KServe labels pods with `isvc.NAME-predictor`, and a label has at most 63 characters."""
REGISTERED_NAME = TextRule(
    "the name of a registered model",
    "([A-Za-z0-9][-A-Za-z0-9_. ]*)?",
    "write letters, digits, spaces, -, _ and ., and begin with a letter or digit",
    200,
)
OBJECT_NAME = TextRule("the name of a Kubernetes object", DNS_NAME.pattern, f"write {_DOTTED}: my-secret", 253)
NAMESPACE = TextRule("a namespace", _LABEL, "write lower-case letters, digits and -, begin and end without a -", 63)
LABEL_KEY = TextRule(
    "the key of a label", _NAME, f"write {_WORD}, {_PREFIX}: example.com/pool", longest=63, prefixed=True
)
LABEL_VALUE = TextRule("the value of a label", f"({_NAME})?", f"write {_WORD}, or nothing", 63)
TAINT_KEY = TextRule(
    "the key of a taint", f"({_NAME})?", f"write {_WORD}, {_PREFIX}: example.com/pool", longest=63, prefixed=True
)
"""Or nothing, which tolerates every key."""
ANNOTATION_KEY = TextRule(
    "the key of an annotation",
    _NAME,
    f"write {_WORD}, {_PREFIX}: example.com/role",
    longest=63,
    prefixed=True,
    any_case=True,
)
FREE_TEXT = TextRule("a text", r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*", "leave control characters out")
QUERY = TextRule("a text", r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+", "write one, without control characters")
SECRET_KEY = TextRule(
    "a key of a Secret",
    r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]+",
    "write letters, digits, -, _ and ., and do not begin with two dots: token",
    253,
)
VARIABLE = TextRule(
    "an environment variable",
    "[A-Za-z_][A-Za-z0-9_]*",
    "write letters, digits and _, and do not begin with a digit: HF_TOKEN",
)
"""Kubernetes takes more, which no shell does."""
FORMAT = TextRule("the name of a model format", _NAME, f"write {_WORD}: mlflow", 63)
HOST_NAME = TextRule(
    "a host name",
    rf"(?![0-9.]+$){_HOST}",
    "write its parts of lower-case letters, digits and -, at most 63 characters each, such as demand.example.com; no "
    "address of digits, no port and no *",
    253,
)
"""The Gateway API takes `*.example.com`, but a route with one comes after KServe's, which has the host name, and would
get nothing (https://gateway-api.sigs.k8s.io/concepts/hostnames)."""
HTTP_URL = TextRule(
    "an http address",
    rf"https?://({_ANY_HOST}|\[[0-9a-fA-F:.]+\])(:{_PORT})?([/?][!-?A-~]*)?",
    "write http:// or https://, a host, a port up to 65535 where it needs one, and a path, without user and password: "
    "http://prometheus.monitoring:9090",
)
RESOURCE = TextRule(
    "an extended resource of Kubernetes, and the pod would never be scheduled",
    rf"(?!requests\.)(?![^/]*kubernetes\.io/)(?=[^/]{{1,244}}/)(?=[^/]+/.{{1,63}}$){_LABEL}(\.{_LABEL})*/{_NAME}",
    "write a domain, a slash and a name, as the plug-in of the nodes calls it: nvidia.com/gpu",
)
"""IsExtendedResourceName: `requests.` and the name must be the key of a label
(https://github.com/kubernetes/kubernetes/blob/02abf3411556e13f91cbb0831842017e789da3a7/pkg/apis/core/v1/helper/helpers.go)."""
IMAGE = TextRule(
    "an image repository",
    rf"oci://{_ANY_HOST}(:{_PORT})?(/{_IMAGE_PART})+",
    "write oci://host/name, the name in lower-case letters and digits with -, _ or . between them, without a tag",
    6 + 255,
)
"""https://github.com/distribution/reference, regexp.go: no more than 255 characters of host and name."""
IMAGE_BY_DIGEST = TextRule(
    "an image by its digest",
    rf"{IMAGE.pattern}@sha256:[0-9a-f]{{64}}",
    "write oci://host/name@sha256: and 64 hexadecimal digits",
    6 + 255 + 72,
)

ModelName = Annotated[str, MODEL_NAME]
RegisteredName = Annotated[str, REGISTERED_NAME]
ObjectName = Annotated[str, OBJECT_NAME]
NamespaceName = Annotated[str, NAMESPACE]
LabelKey = Annotated[str, LABEL_KEY]
LabelValue = Annotated[str, LABEL_VALUE]
TaintKey = Annotated[str, TAINT_KEY]
AnnotationKey = Annotated[str, ANNOTATION_KEY]
FreeText = Annotated[str, FREE_TEXT]
Query = Annotated[str, QUERY]
SecretKeyName = Annotated[str, SECRET_KEY]
VariableName = Annotated[str, VARIABLE]
FormatName = Annotated[str, FORMAT]
HostName = Annotated[str, HOST_NAME]
HttpAddress = Annotated[str, HTTP_URL]
ResourceName = Annotated[str, RESOURCE]
RepositoryName = Annotated[str, IMAGE]
ImageByDigest = Annotated[str, IMAGE_BY_DIGEST]

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_POWERS = {"m": Decimal("0.001"), **{letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGT")}}
_BINARY_POWERS = {f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGT")}


def _check_quantity(text: str, smallest: Decimal, unit: str) -> str:
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write one such as 500m, 2 or 4Gi")
    amount = Decimal(match[1]) * {**_POWERS, **_BINARY_POWERS, None: Decimal(1)}[match[2]]
    if amount == 0 or amount % smallest:
        raise ValueError(f"{text!r} is not a whole number of {unit}, of which there is at least one")
    if amount >= 2**63:
        raise ValueError(f"{text!r} is more than Kubernetes counts; lower it")
    return text


def _check_cpu(text: str) -> str:
    return _check_quantity(text, Decimal("0.001"), "thousandths of a processor (1m)")


def _check_memory(text: str) -> str:
    return _check_quantity(text, Decimal(1), "bytes")


CpuQuantity = Annotated[str, AfterValidator(_check_cpu)]
MemoryQuantity = Annotated[str, AfterValidator(_check_memory)]
"""https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/: nothing finer than 1m of a processor,
and `400m` of memory is less than a byte."""

OTHERS_ANNOTATIONS = ("ostinato.dev", "argocd.argoproj.io", "helm.sh", "kubectl.kubernetes.io")
"""Prefixes by which Ostinato, Argo CD, Helm and kubectl say what they do with an object."""
ANNOTATION_BYTES = 256 * 1024
"""Of all keys and values of an object (TotalAnnotationSizeLimitB)."""


def _check_annotations(annotations: Mapping[str, str]) -> Mapping[str, str]:
    for key in annotations:
        if key.partition("/")[0].lower() in OTHERS_ANNOTATIONS:
            raise ValueError(f"{key} decides what {key.partition('/')[0]} does with the object; leave it out")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATION_BYTES:
        raise ValueError(f"annotations have {size} bytes, and Kubernetes takes {ANNOTATION_BYTES}; shorten them")
    return annotations


Annotations = Annotated[dict[AnnotationKey, FreeText], AfterValidator(_check_annotations)]
