"""Versions beside the live one, in the model's manifest: a canary, which answers a share of the requests, or a shadow,
which gets a copy of them and answers nobody. There is one trial at a time.

Whatever runs beside it, the live version's own part of the file stays as it was committed, so that starting a trial
restarts nothing that is live. In Standard mode that is so byte for byte. The facts of a canary are annotations of its
own predictor, not of the service: KServe copies those of the service into the pods of every predictor (predictor.go of
its controller), and pods whose annotations change are replaced.
"""

from delivery.kserve.documents import Document, from_bytes, of_kind, to_bytes
from delivery.kserve.manifest import DEPLOYMENT_MODE, STABLE_URI, Evidence, fact_annotations, parse, shadow_name
from delivery.kserve.render import AUTOSCALER, container, inference_service, pod, scaling, service_account
from training.errors import InputError
from training.spec.model import ModelSpec
from training.spec.serving_language import HUGGINGFACESERVER, VLLMSERVER

LONGEST_LABEL = 63
PREDICTOR_PORT = 80
"""Of KServe's Service `<name>-predictor` in Standard mode (CommonDefaultHttpPort, service_reconciler.go)."""
TOLD_ITS_NAME_BY_ARGUMENT = ("ostinato-mlflow", "kserve-sklearnserver")
"""Runtimes whose server takes `--model_name`; the last one given counts."""
OPENAI_ROUTES = {HUGGINGFACESERVER: "/openai/v1", VLLMSERVER: "/v1"}
"""Where a runtime has OpenAI's paths; it takes its name by argument as well."""


def with_canary(spec: ModelSpec, now: bytes, version: str, storage_uri: str, evidence: Evidence, percent: int) -> bytes:
    """The manifest ``now`` with a version as the canary that gets ``percent`` of the requests; a shadow ends.

    Raises InputError where KServe would not do it: another deployment mode than the live one's, or a name that is too
    long for the Service that it makes.
    """
    documents = from_bytes(now)
    service = _live_service(documents, spec.name, "canary")
    serving, annotations = spec.serving, service["metadata"]["annotations"]
    mode = annotations.get(DEPLOYMENT_MODE)
    if mode != serving.deployment_mode:
        raise InputError(
            f"serving.deployment_mode is {serving.deployment_mode}, but {spec.name} is live in {mode}; KServe fixes it "
            "for the life of a service"
        )
    facts = {
        "canary-version": version,
        "canary-digest": evidence.digest,
        "canary-data-fingerprint": evidence.data_fingerprint,
        "canary-verdict-digest": evidence.verdict_digest,
        "canary-code-version": evidence.code_version,
        "canary-spec-digest": evidence.spec_digest,
    }
    model = container(spec, storage_uri, evidence.digest)
    if serving.deployment_mode == "Knative":
        annotations[STABLE_URI] = parse(now, spec.name, "").storage_uri
        predictor = {"canaryTrafficPercent": percent, "annotations": fact_annotations(facts)}
        service["spec"] = {"predictor": {**predictor, **scaling(serving), **pod(spec), "model": model}}
    else:
        _check_length(f"{spec.name}-v{version}", "canary")
        stable = service["spec"]["predictor"]
        # KServe lays a canary's predictor over the stable one, names its Service by predictor.name, and refuses a
        # scaling of its own (github.com/kserve/kserve/pull/5672). The CRD demands the container's name.
        own = {field: value for field, value in pod(spec).items() if stable.get(field) != value}
        predictor = {"name": f"v{version}", "annotations": fact_annotations(facts), **own}
        predictor["model"] = {"name": "kserve-container", **model}
        service["spec"] = {"predictor": stable, "canary": [{"trafficPercent": percent, "predictor": predictor}]}
    return to_bytes([service_account(spec), service])


def with_shadow(spec: ModelSpec, now: bytes, version: str, storage_uri: str, evidence: Evidence) -> bytes:
    """The manifest ``now`` with a version as the shadow: a service of its own, and the route that mirrors to it.

    Raises InputError with the fix where the spec lacks a gateway, or mirroring can't work.
    """
    _check_can_mirror(spec)
    _live_service(from_bytes(now), spec.name, "shadow")
    name = shadow_name(spec.name)
    _check_length(name, "shadow")
    shadow = inference_service(spec, name, version, storage_uri, "", evidence)
    shadow["metadata"]["annotations"].pop(AUTOSCALER, None)
    predictor = shadow["spec"]["predictor"]
    for field in ("autoScaling", "scaleMetric", "scaleTarget", "logger"):
        predictor.pop(field, None)
    predictor |= {"minReplicas": 1, "maxReplicas": 1}
    if spec.serving.protocol != "openai":  # a language model's server is told the live one's name by its spec
        # A mirrored request has the live model's name in its path, and a mirror can't change paths.
        predictor["model"]["args"] = [f"--model_name={spec.name}"]
    plain = from_bytes(without_shadow(now, spec.name))
    return to_bytes([*plain, shadow, _mirror_route(spec)])


def without_shadow(content: bytes, name: str) -> bytes:
    """The manifest without its shadow; the same bytes if there is none."""
    documents = from_bytes(content)
    kept = [one for one in documents if one not in shadow_documents(content, name)]
    return content if len(kept) == len(documents) else to_bytes(kept)


def shadow_documents(content: bytes, name: str) -> list[Document]:
    """The shadow's service and route, [] without a shadow."""
    documents = from_bytes(content)
    found = (
        of_kind(documents, "InferenceService", shadow_name(name)),
        of_kind(documents, "HTTPRoute", _route_name(name)),
    )
    return [one for one in found if one is not None]


def keep_shadow(content: bytes, now: bytes, name: str) -> bytes:
    """A new manifest with the shadow that ``now`` has.

    Not if the shadow is the version that is live in the new one, or the new one has no predictor to be mirrored.
    """
    shadow = parse(now, name, "").shadow
    if shadow is None or shadow.version == parse(content, name, "").version:
        return content
    if of_kind(from_bytes(content), "InferenceService", name) is None:
        return content
    return to_bytes([*from_bytes(content), *shadow_documents(now, name)])


def ended_canary(stable: bytes, name: str) -> bytes:
    """What is committed to end a canary, given the manifest from before it.

    In Standard mode that manifest itself. Knative gives all requests to the newest revision that is ready, which is the
    canary until the stable one has started again; with 0 percent for the newest it sends them to the last revision that
    had all of them (KServe's ksvc_reconciler.go), which runs already.
    """
    documents = from_bytes(stable)
    service = of_kind(documents, "InferenceService", name)
    if service is None or service["metadata"]["annotations"].get(DEPLOYMENT_MODE) != "Knative":
        return stable
    service["spec"]["predictor"] = {"canaryTrafficPercent": 0, **service["spec"]["predictor"]}
    return to_bytes(documents)


def settled(content: bytes, name: str) -> bytes | None:
    """The manifest without what trials left in it; None while a canary runs. Raises InputError for a broken one."""
    if parse(content, name, "").canary:
        return None
    plain = without_shadow(content, name)
    documents = from_bytes(plain)
    service = of_kind(documents, "InferenceService", name)
    if service is None or service["spec"]["predictor"].pop("canaryTrafficPercent", None) is None:
        return plain
    return to_bytes(documents)


def _live_service(documents: list[Document], name: str, trial: str) -> Document:
    """The live InferenceService. Raises InputError if the model is live as the other kind."""
    service = of_kind(documents, "InferenceService", name)
    if service is None:
        raise InputError(
            f"{name} is live as an LLMInferenceService, which can't have a {trial} beside it; release the version to "
            f"all requests with: ostinato promote {name}"
        )
    return service


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
    told = tuple(OPENAI_ROUTES) if serving.protocol == "openai" else TOLD_ITS_NAME_BY_ARGUMENT
    if serving.runtime not in told:
        raise InputError(
            f"{spec.name} can't have a shadow on runtime {serving.runtime}: mirrored requests name the live model, and "
            f"only {' and '.join(told)} can be told to answer to that name"
        )


def _check_length(service: str, what: str) -> None:
    """KServe labels pods with `isvc.<service>-predictor`."""
    label = f"isvc.{service}-predictor"
    if len(label) > LONGEST_LABEL:
        raise InputError(
            f"the {what} would get the label {label!r}, {len(label) - LONGEST_LABEL} characters longer than Kubernetes "
            "allows; give the model a shorter name"
        )


def _route_name(name: str) -> str:
    """Not `<name>-shadow`: KServe makes a route of that name for the shadow's service."""
    return f"{name}-mirror"


def _mirror_route(spec: ModelSpec) -> Document:
    """A Gateway API HTTPRoute that sends a copy of each inference request to the shadow.

    It matches the exact path, which goes before KServe's own route for the same host name; everything else, and the
    requests after the shadow has gone, take KServe's. Defaults are written, so that nothing is filled in later.
    """
    serving, gateway = spec.serving, spec.serving.gateway
    assert gateway is not None, "checked before"
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name}
    rule: Document = {
        "matches": [{"path": {"type": "Exact", "value": path}} for path in _mirrored_paths(spec)],
        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": _backend(shadow_name(spec.name))}}],
        "backendRefs": [{**_backend(spec.name), "weight": 1}],
    }
    if serving.timeout_s:
        rule["timeouts"] = {"request": f"{serving.timeout_s}s"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": _route_name(spec.name), "namespace": serving.namespace},
        "spec": {
            "parentRefs": [{**parent, "namespace": gateway.namespace}],
            "hostnames": [gateway.hostname],
            "rules": [rule],
        },
    }


def _mirrored_paths(spec: ModelSpec) -> list[str]:
    serving = spec.serving
    if serving.protocol == "openai":
        root = OPENAI_ROUTES[serving.runtime]
        return [f"{root}/chat/completions", f"{root}/completions"]
    return [f"/v2/models/{spec.name}/infer" if serving.protocol == "v2" else f"/v1/models/{spec.name}:predict"]


def _backend(service: str) -> Document:
    return {"group": "", "kind": "Service", "name": f"{service}-predictor", "port": PREDICTOR_PORT}
