"""What a release, a canary and a shadow make of a manifest. Each function gives another manifest, and writes nothing.

Beside the live version there is a canary, which answers a share of the requests, or a shadow, which gets a copy of them
and answers nobody; never both. Whatever runs beside it, the live version's own part of the file stays as it was
committed, so that starting a canary or a shadow restarts nothing that is live. In Standard mode that is so byte for
byte. The facts of a canary are annotations of its own predictor, not of the service: KServe copies those of the service
into the pods of every predictor (predictor.go of its controller), and pods whose annotations change are replaced.
"""

from delivery.kserve.documents import Document, of_kind
from delivery.kserve.manifest import DEPLOYMENT_MODE, STABLE_URI, Manifest, ServedVersion, fact_annotations, shadow_name
from delivery.kserve.mirror import check_label, route_name, shadow_documents
from delivery.kserve.parse import manifest_of
from delivery.kserve.render import container, pod, render, scaling, service_account
from training.errors import InputError
from training.spec import ModelSpec


def with_release(spec: ModelSpec, now: Manifest | None, served: ServedVersion) -> Manifest:
    """The manifest with the version as the one that gets all requests; a canary ends, a shadow stays.

    For the version that is live it is the manifest as it is, unless the spec has changed how it is served. None for a
    model that is not live. Raises InputError for a storage URI that can move or can't be fetched by KServe.
    """
    if now is None:
        return render(spec, served, "")
    live = now.served
    if live.version != served.version:
        return _keep_shadow(render(spec, served, live.version, live.commit), now)
    plain = settle(now)
    if plain is None:
        return now  # what the spec says now comes when the canary ends
    rendered = render(spec, served, live.previous_version, live.commit)
    if plain is not now and plain.documents == rendered.documents:
        return now
    return _keep_shadow(rendered, now)


def with_canary(spec: ModelSpec, now: Manifest, served: ServedVersion, percent: int) -> Manifest:
    """The manifest with a version as the canary that gets ``percent`` of the requests; a shadow ends.

    Raises InputError where KServe would not do it: another deployment mode than the live one's, or a name that is too
    long for the Service that it makes.
    """
    service, serving = _live_service(now, "canary"), spec.serving
    metadata = service["metadata"]
    mode = metadata["annotations"].get(DEPLOYMENT_MODE)
    if mode != serving.deployment_mode:
        raise InputError(
            f"serving.deployment_mode is {serving.deployment_mode}, but {spec.name} is live in {mode}; KServe fixes it "
            "for the life of a service"
        )
    model = container(spec, served.storage_uri, served.digest, spec.name)
    if mode == "Knative":
        annotations = {**metadata["annotations"], STABLE_URI: now.served.storage_uri}
        metadata = {**metadata, "annotations": annotations}
        predictor = {"canaryTrafficPercent": percent, "annotations": _canary_facts(served)}
        fields: Document = {
            "predictor": {**predictor, **scaling(serving), **pod(spec, served.storage_uri), "model": model}
        }
    else:
        check_label(f"{spec.name}-v{served.version}", "canary")
        stable = service["spec"]["predictor"]
        # KServe lays a canary's predictor over the stable one, names its Service by predictor.name, and refuses a
        # scaling of its own (github.com/kserve/kserve/pull/5672). The CRD demands the container's name.
        shared = pod(spec, served.storage_uri)
        own = {field: value for field, value in shared.items() if stable.get(field) != value}
        predictor = {"name": f"v{served.version}", "annotations": _canary_facts(served), **own}
        predictor["model"] = {"name": "kserve-container", **model}
        fields = {"predictor": stable, "canary": [{"trafficPercent": percent, "predictor": predictor}]}
    return _changed(now, [service_account(spec), {**service, "metadata": metadata, "spec": fields}])


def without_canary(stable: Manifest) -> Manifest:
    """What is committed to end a canary, given the manifest from before it.

    In Standard mode that manifest itself. Knative gives all requests to the newest revision that is ready, which is the
    canary until the stable one has started again; with 0 percent for the newest it sends them to the last revision that
    had all of them (KServe's ksvc_reconciler.go), which runs already.
    """
    service = of_kind(stable.documents, "InferenceService", stable.served.name)
    if service is None or service["metadata"]["annotations"].get(DEPLOYMENT_MODE) != "Knative":
        return stable
    return _with_predictor(stable, service, {"canaryTrafficPercent": 0, **service["spec"]["predictor"]})


def with_shadow(spec: ModelSpec, now: Manifest, served: ServedVersion) -> Manifest:
    """The manifest with a version as the shadow: a service of its own, and the route that mirrors to it.

    Raises InputError with the fix where the spec lacks a gateway, or mirroring can't work.
    """
    documents = shadow_documents(spec, served)
    _live_service(now, "shadow")
    return _changed(now, [*without_shadow(now).documents, *documents])


def without_shadow(now: Manifest) -> Manifest:
    """The manifest without its shadow; itself if there is none."""
    shadow = _shadow_of(now)
    kept = [document for document in now.documents if document not in shadow]
    return _changed(now, kept) if shadow else now


def settle(now: Manifest) -> Manifest | None:
    """The manifest without what canary and shadow left in it; itself if there is nothing, None while a canary runs."""
    if now.served.canary:
        return None
    plain = without_shadow(now)
    service = of_kind(plain.documents, "InferenceService", now.served.name)
    if service is None or service["spec"]["predictor"].get("canaryTrafficPercent") is None:
        return plain
    predictor = {
        field: value for field, value in service["spec"]["predictor"].items() if field != "canaryTrafficPercent"
    }
    return _with_predictor(plain, service, predictor)


def _canary_facts(served: ServedVersion) -> dict[str, str]:
    facts = {
        "canary-version": served.version,
        "canary-digest": served.digest,
        "canary-data-fingerprint": served.data_fingerprint,
        "canary-verdict-digest": served.verdict_digest,
        "canary-code-version": served.code_version,
        "canary-spec-digest": served.spec_digest,
    }
    return fact_annotations(facts)


def _keep_shadow(manifest: Manifest, now: Manifest) -> Manifest:
    """A new manifest with the shadow that ``now`` has.

    Not if the shadow is the version that is live in the new one, or the new one has no predictor to be mirrored.
    """
    shadow, name = now.served.shadow, manifest.served.name
    if shadow is None or shadow.version == manifest.served.version:
        return manifest
    if of_kind(manifest.documents, "InferenceService", name) is None:
        return manifest
    return _changed(manifest, [*manifest.documents, *_shadow_of(now)])


def _shadow_of(manifest: Manifest) -> list[Document]:
    """The shadow's service and route, [] without a shadow."""
    name = manifest.served.name
    documents = (
        of_kind(manifest.documents, "InferenceService", shadow_name(name)),
        of_kind(manifest.documents, "HTTPRoute", route_name(name)),
    )
    return [document for document in documents if document is not None]


def _live_service(now: Manifest, beside: str) -> Document:
    """The live InferenceService. Raises InputError if the model is live as the other kind."""
    name = now.served.name
    service = of_kind(now.documents, "InferenceService", name)
    if service is None:
        raise InputError(
            f"{name} is live as an LLMInferenceService, which can't have a {beside} beside it; release the version to "
            f"all requests with: ostinato promote {name}"
        )
    return service


def _with_predictor(manifest: Manifest, service: Document, predictor: Document) -> Manifest:
    changed = {**service, "spec": {**service["spec"], "predictor": predictor}}
    documents = [changed if document is service else document for document in manifest.documents]
    return _changed(manifest, documents)


def _changed(manifest: Manifest, documents: list[Document]) -> Manifest:
    return manifest_of(documents, manifest.served.name, manifest.served.commit)
