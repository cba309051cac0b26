"""A canary in a manifest: beside the live version, and while it takes over from it.

In Standard mode KServe runs a copy of the live predictor with the canary's laid over it: mappings field by field, lists
as a whole, and what the canary has not, or has empty, stays the live version's (buildCanaryPredictor in
pkg/controller/v1beta1/inferenceservice/components/predictor.go of github.com/kserve/kserve at aaac4e29, by
dario.cat/mergo 1.0.2 with WithOverride). So a version that takes something away can't be tried as it will be served,
and is refused. Scaling and strategy are not laid over: a canary has neither.

The facts of a canary are annotations of its own predictor, not of the service: KServe copies those of the service into
the pods of every predictor, and pods whose annotations change are replaced.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from delivery.kserve.changes import live_service, with_release
from delivery.kserve.documents import Document
from delivery.kserve.manifest import DEPLOYMENT_MODE, STABLE_URI, Manifest, ServedVersion, fact_annotations
from delivery.kserve.mirror import check_label
from delivery.kserve.parse import manifest_of
from delivery.kserve.render import container, pod, render, scaling, service_account
from training.errors import InputError
from training.spec import ModelSpec

LIVE_ONLY = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "deploymentStrategy")
"""Fields of the live predictor that KServe gives to no canary: it empties them, and passes no strategy on."""
_ABSENT = object()


@dataclass(frozen=True)
class KeptField:
    """A field that a canary would keep from the live version."""

    field: str
    """Dotted, such as ``spec.predictor.nodeSelector.pool``."""
    live: Any
    new: Any
    """None where the new version does not have it."""


def with_canary(spec: ModelSpec, now: Manifest, served: ServedVersion, percent: int) -> Manifest:
    """The manifest with a version as the canary that gets ``percent`` of the requests; a shadow ends.

    Raises InputError where KServe would not do it: another deployment mode than the live one's, a name that is too long
    for the Service that it makes, or a version that lacks what the live one has.
    """
    if now.served.takes_over:
        now = end_takeover(now)  # the version that took over is live, whatever comes beside it
    service = live_service(now, "canary")
    _check_mode(spec, service)
    metadata, stable = service["metadata"], service["spec"]["predictor"]
    if spec.serving.deployment_mode == "Knative":
        annotations = {**metadata["annotations"], STABLE_URI: now.served.storage_uri}
        metadata = {**metadata, "annotations": annotations}
        predictor = {"canaryTrafficPercent": percent, "annotations": _canary_facts(served)}
        model = container(spec, served.storage_uri, served.digest, spec.name)
        shared = {**scaling(spec.serving), **pod(spec, served.storage_uri)}
        fields: Document = {"predictor": {**predictor, **shared, "model": model}}
    else:
        check_label(f"{spec.name}-v{served.version}", "canary")
        predictor = _overlay(spec, stable, served)
        _check_sayable(spec, now, stable, predictor, served)
        fields = {"predictor": stable, "canary": [{"trafficPercent": percent, "predictor": predictor}]}
    return _changed(now, [service_account(spec), {**service, "metadata": metadata, "spec": fields}])


def start_takeover(spec: ModelSpec, now: Manifest, served: ServedVersion, keeps_capacity: bool) -> Manifest:
    """The canary's version as the live one, and its canary beside it until the live pods are ready.

    So nobody gets the version before again: KServe ends a canary that is not in the manifest at once, while the live
    pods are replaced one by one. It also takes the canary's pods off the live version's number
    (adjustStableMinReplicasForCanaries, predictor.go); with ``keeps_capacity`` that number is raised by them. In
    Knative mode, where the canary's revision goes on until a newer one is ready, the canary just ends.
    """
    canary, service = now.served.canary, live_service(now, "canary")
    assert canary, "it was looked up before"
    if "canary" not in service["spec"]:
        return with_release(spec, now, served)
    _check_mode(spec, service)
    released = render(spec, served, now.served.version, now.served.commit)
    service = live_service(released, "canary")
    stable = service["spec"]["predictor"]
    predictor, replicas = _overlay(spec, stable, served), stable["minReplicas"]
    if keeps_capacity and replicas > 1:
        beside = math.ceil(replicas * canary.percent / 100)
        predictor = {**predictor, "minReplicas": beside}
        stable = _scaled(stable, beside)
    fields = {"predictor": stable, "canary": [{"trafficPercent": canary.percent, "predictor": predictor}]}
    return _changed(now, [service_account(spec), {**service, "spec": fields}])


def end_takeover(now: Manifest) -> Manifest:
    """The manifest without the canary whose version is live: as a release of that version renders it."""
    service = live_service(now, "canary")
    (canary,) = service["spec"]["canary"]
    stable = _scaled(service["spec"]["predictor"], -canary["predictor"].get("minReplicas", 0))
    changed = {**service, "spec": {"predictor": stable}}
    return _changed(now, [changed if document is service else document for document in now.documents])


def kept_fields(live: Document, new: Document, at: str = "spec.predictor") -> Iterator[KeptField]:
    """What KServe's merge would keep of the live predictor in a canary that is to be ``new``.

    An empty text counts as a value: texts are rendered empty in mappings of texts only, where it is one.
    """
    for field, value in live.items():
        path, other = f"{at}.{field}", new.get(field, _ABSENT)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from kept_fields(value, other, path)
        elif other is _ABSENT:
            yield KeptField(path, value, None)
        elif value != other and (not (other or other == "") or isinstance(value, str) != isinstance(other, str)):
            yield KeptField(path, value, other)


def _overlay(spec: ModelSpec, stable: Document, served: ServedVersion) -> Document:
    """The canary's predictor. KServe names its Service by ``name``; the CRD demands the container's."""
    shared = pod(spec, served.storage_uri)
    own = {field: value for field, value in shared.items() if stable.get(field) != value}
    model = {"name": "kserve-container", **container(spec, served.storage_uri, served.digest, spec.name)}
    return {"name": f"v{served.version}", "annotations": _canary_facts(served), **own, "model": model}


def _check_sayable(spec: ModelSpec, now: Manifest, stable: Document, overlay: Document, served: ServedVersion) -> None:
    """Raises InputError where the canary would not be what a release of the version serves."""
    live = {field: value for field, value in stable.items() if field not in LIVE_ONLY}
    kept = list(kept_fields(live, {**pod(spec, served.storage_uri), **overlay}))
    if not kept:
        return
    lines = "".join(
        f"\n  {field.field}: {_short(field.live)} in version {now.served.version}, "
        f"{_short(field.new)} in version {served.version}"
        for field in kept
    )
    first = "take serving.canary out of spec.yaml, then: " if spec.serving.canary else ""
    raise InputError(
        f"version {served.version} of {spec.name} can't be tried as a canary. KServe lays a canary over the live "
        f"version, and what the new one has no more stays:{lines}\n"
        f"Release it to all requests ({first}ostinato promote {spec.name} --version {served.version}), or put these "
        "fields back into spec.yaml for as long as the canary runs"
    )


def _short(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def _check_mode(spec: ModelSpec, service: Document) -> None:
    mode = service["metadata"]["annotations"].get(DEPLOYMENT_MODE)
    if mode != spec.serving.deployment_mode:
        raise InputError(
            f"serving.deployment_mode is {spec.serving.deployment_mode}, but {spec.name} is live in {mode}; KServe "
            "fixes it for the life of a service"
        )


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


def _scaled(stable: Document, pods: int) -> Document:
    """The predictor with so many pods more, or less."""
    return {**stable, **{field: stable[field] + pods for field in ("minReplicas", "maxReplicas") if pods}}


def _changed(now: Manifest, documents: list[Document]) -> Manifest:
    return manifest_of(documents, now.served.name, now.served.commit)
