"""A shadow's documents: a service of its own, and the route that sends it a copy of each inference request."""

from delivery.kserve.documents import Document
from delivery.kserve.draining import longest_request_s
from delivery.kserve.manifest import ServedVersion, shadow_name
from delivery.kserve.render import AUTOSCALER, inference_service
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.serving_language import HUGGINGFACESERVER, VLLMSERVER

LONGEST_LABEL = 63
PREDICTOR_PORT = 80
"""Of KServe's Service `<name>-predictor` in Standard mode (CommonDefaultHttpPort, service_reconciler.go)."""
TAKES_MODEL_NAME = ("ostinato-mlflow", "kserve-sklearnserver")
"""Runtimes whose server takes `--model_name`; the last one given counts."""
OPENAI_ROUTES = {HUGGINGFACESERVER: "/openai/v1", VLLMSERVER: "/v1"}
"""Where a runtime has OpenAI's paths; it takes its name by argument as well."""


def shadow_documents(spec: ModelSpec, served: ServedVersion) -> list[Document]:
    """The shadow's service and its route. Raises InputError with the fix where mirroring can't work."""
    _check_can_mirror(spec)
    name = shadow_name(spec.name)
    check_label(name, "shadow")
    shadow = inference_service(spec, name, served, "")
    shadow["metadata"]["annotations"].pop(AUTOSCALER, None)
    predictor = shadow["spec"]["predictor"]
    for field in ("autoScaling", "scaleMetric", "scaleTarget", "logger"):
        predictor.pop(field, None)
    predictor |= {"minReplicas": 1, "maxReplicas": 1}
    if spec.serving.protocol != "openai":  # a language model's server gets the live one's name by its spec
        # A mirrored request has the live model's name in its path, and a mirror can't change paths.
        predictor["model"]["args"] = [f"--model_name={spec.name}"]
    return [shadow, _mirror_route(spec)]


def route_name(name: str) -> str:
    """Not `<name>-shadow`: KServe makes a route of that name for the shadow's service."""
    return f"{name}-mirror"


def check_label(service: str, what: str) -> None:
    """KServe labels pods with `isvc.<service>-predictor`."""
    label = f"isvc.{service}-predictor"
    if len(label) > LONGEST_LABEL:
        raise InputError(
            f"the {what} would get the label {label!r}, {len(label) - LONGEST_LABEL} characters longer than Kubernetes "
            "allows; give the model a shorter name"
        )


def _check_can_mirror(spec: ModelSpec) -> None:
    serving = spec.serving
    if serving.resource == "LLMInferenceService":
        raise InputError(
            f"{spec.name} can't have a shadow with serving.resource: LLMInferenceService, whose route belongs to "
            "KServe; use resource: InferenceService"
        )
    if serving.gateway is None:
        raise InputError(
            f"{spec.name} can't have a shadow: requests are mirrored by the gateway that they come through; name it in "
            "spec.yaml, serving.gateway: {name: …, namespace: …, hostname: …}"
        )
    if serving.deployment_mode == "Knative":
        raise InputError(
            f"{spec.name} can't have a shadow in deployment_mode: Knative, which routes by host name: a mirrored "
            "request keeps the live model's and would not come to the shadow; use deployment_mode: Standard"
        )
    runtimes = tuple(OPENAI_ROUTES) if serving.protocol == "openai" else TAKES_MODEL_NAME
    if serving.runtime not in runtimes:
        raise InputError(
            f"{spec.name} can't have a shadow on runtime {serving.runtime}: mirrored requests name the live model, and "
            f"only {' and '.join(runtimes)} can be told to answer to that name"
        )


def _mirror_route(spec: ModelSpec) -> Document:
    """A Gateway API HTTPRoute that sends a copy of each inference request to the shadow.

    It matches the exact path, which goes before KServe's own route for the same host name; everything else, and the
    requests after the shadow has gone, take KServe's. It has that route's headers and time-out. Defaults are written,
    so that nothing is filled in later.
    """
    serving, gateway = spec.serving, spec.serving.gateway
    assert gateway is not None and gateway.hostname is not None, "checked before"
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name}
    rule: Document = {
        "matches": [{"path": {"type": "Exact", "value": path}} for path in _mirrored_paths(spec)],
        "filters": [
            _service_headers(spec),
            {"type": "RequestMirror", "requestMirror": {"backendRef": _backend(shadow_name(spec.name))}},
        ],
        "backendRefs": [{**_backend(spec.name), "weight": 1}],
        "timeouts": {"request": f"{longest_request_s(serving)}s"},
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": route_name(spec.name), "namespace": serving.namespace},
        "spec": {
            "parentRefs": [{**parent, "namespace": gateway.namespace}],
            "hostnames": [gateway.hostname],
            "rules": [rule],
        },
    }


def _service_headers(spec: ModelSpec) -> Document:
    """That KServe's own route sets (addIsvcHeaders, httproute_reconciler.go)."""
    headers = {"KServe-Isvc-Name": spec.name, "KServe-Isvc-Namespace": spec.serving.namespace}
    changed = {"set": [{"name": name, "value": value} for name, value in headers.items()]}
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": changed}


def _mirrored_paths(spec: ModelSpec) -> list[str]:
    serving = spec.serving
    if serving.protocol == "openai":
        root = OPENAI_ROUTES[serving.runtime]
        return [f"{root}/chat/completions", f"{root}/completions"]
    return [f"/v2/models/{spec.name}/infer" if serving.protocol == "v2" else f"/v1/models/{spec.name}:predict"]


def _backend(service: str) -> Document:
    return {"group": "", "kind": "Service", "name": f"{service}-predictor", "port": PREDICTOR_PORT}
