"""A shadow's route is KServe's own for the same service and one thing more: the mirror.

No HTTPRoute of an InferenceService was recorded whole. So KServe's is what its source renders, at
https://github.com/kserve/kserve/tree/aaac4e29: createRawTopLevelHTTPRoute in
pkg/controller/v1beta1/inferenceservice/reconcilers/ingress/httproute_reconciler.go, for a service with a predictor and
nothing else, on a port of one protocol, without a canary and without a path template.
"""

import copy
from itertools import zip_longest
from typing import Any

import pytest
from harness.candidates import language_spec, model_spec
from harness.registered import served

from delivery.kserve.changes import with_shadow
from delivery.kserve.documents import Document, of_kind
from delivery.kserve.render import render
from training.spec import ModelSpec

GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
FALLBACK = "^/.*$"
"""constants.FallbackPrefix."""
VLLM = {"runtime": "kserve-vllmserver", "model_format": "vLLM"}


def kserves_route(service: Document, gateway: str, host: str) -> Document:
    """gateway: `kserveIngressGateway` of KServe's configuration; host: by its template of domains."""
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    headers = [{"name": "KServe-Isvc-Name", "value": name}, {"name": "KServe-Isvc-Namespace", "value": namespace}]
    rule = {
        "matches": [{"path": {"type": "RegularExpression", "value": FALLBACK}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": headers}}],
        "backendRefs": [{"kind": "Service", "name": f"{name}-predictor", "namespace": namespace, "port": 80}],
        "timeouts": {"request": f"{service['spec']['predictor'].get('timeout', 60)}s"},
    }
    at, _, called = gateway.partition("/")
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": at, "name": called}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [parent], "hostnames": [host], "rules": [rule]},
    }


def with_defaults(route: Document) -> Document:
    """With what the Gateway API fills in (apis/v1 of sigs.k8s.io/gateway-api): a backend's group and weight; its
    namespace is the route's, which kustomize changes with the route where none is written."""
    filled = copy.deepcopy(route)
    own = {"group": "", "weight": 1, "namespace": filled["metadata"]["namespace"]}
    for rule in filled["spec"]["rules"]:
        rule["backendRefs"] = [{**own, **reference} for reference in rule["backendRefs"]]
    return filled


SPECS = {
    "v2": model_spec(serving={"gateway": GATEWAY}),
    "v1 with a time-out": model_spec(serving={"gateway": GATEWAY, "protocol": "v1", "timeout_s": 300}),
    "sklearnserver": model_spec(serving={"gateway": GATEWAY, "runtime": "kserve-sklearnserver", "protocol": "v1"}),
    "elsewhere": model_spec(serving={"gateway": GATEWAY, "namespace": "bikes"}),
    "huggingface": language_spec("bike-demand", gateway=GATEWAY),
    "vLLM": language_spec("bike-demand", gateway=GATEWAY, timeout_s=600, **VLLM),
}
each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def routes(spec: ModelSpec) -> tuple[Document, Document]:
    """Ours, and KServe's for the live service."""
    manifest = with_shadow(spec, render(spec, served("3"), "2"), served("4"))
    live = of_kind(manifest.documents, "InferenceService", spec.name)
    ours = of_kind(manifest.documents, "HTTPRoute", f"{spec.name}-mirror")
    assert live and ours
    return with_defaults(ours), with_defaults(kserves_route(live, "gateways/public", "bikes.example.org"))


def differences(ours: Any, theirs: Any, at: str = "") -> dict[str, tuple[Any, Any]]:
    """Each field in which the two differ, with both values; None where it is absent."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = {f"{at}.{key}": (ours.get(key), theirs.get(key)) for key in {**ours, **theirs}}
    elif isinstance(ours, list) and isinstance(theirs, list):
        pairs = {f"{at}[{position}]": pair for position, pair in enumerate(zip_longest(ours, theirs))}
    else:
        return {} if ours == theirs else {at.removeprefix("."): (ours, theirs)}
    differing: dict[str, tuple[Any, Any]] = {}
    for path, (our, their) in pairs.items():
        differing |= differences(our, their, path)
    return differing


@each_spec
def test_field_by_field_the_route_is_kserves_and_the_mirror(spec: ModelSpec) -> None:
    differing = differences(*routes(spec))
    mirror = {"group": "", "kind": "Service", "name": "bike-demand-shadow-predictor", "port": 80}
    assert differing.pop("spec.rules[0].filters[1]") == (
        {"type": "RequestMirror", "requestMirror": {"backendRef": mirror}},
        None,
    )
    assert differing.pop("metadata.name") == ("bike-demand-mirror", "bike-demand"), "KServe has its own of that name"
    matches = {field for field in differing if field.startswith("spec.rules[0].matches[")}
    assert differing.keys() == matches, "nothing else differs"


@each_spec
def test_the_route_takes_exact_paths_of_inference_which_go_before_kserves_expression(spec: ModelSpec) -> None:
    ours, _ = routes(spec)
    (rule,) = ours["spec"]["rules"]
    for match in rule["matches"]:
        assert match.keys() == {"path"} and match["path"]["type"] == "Exact"
        assert match["path"]["value"].endswith(("/infer", ":predict", "/completions"))
