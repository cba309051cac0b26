"""What a release, a canary and a shadow make of a manifest. Each function gives another manifest, and writes nothing.

Beside the live version there is a canary, which answers a share of the requests, or a shadow, which gets a copy of them
and answers nobody; never both. Whatever runs beside it, the live version's own part of the file stays as it was
committed, so that starting a canary or a shadow restarts nothing that is live.
"""

from delivery.kserve.documents import Document, of_kind
from delivery.kserve.manifest import DEPLOYMENT_MODE, Manifest, ServedVersion, shadow_name
from delivery.kserve.mirror import route_name, shadow_documents
from delivery.kserve.parse import manifest_of
from delivery.kserve.render import render
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
    live_service(now, "shadow")
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


def live_service(now: Manifest, beside: str) -> Document:
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
