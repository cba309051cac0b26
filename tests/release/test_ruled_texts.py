"""Every text of a spec that comes into a manifest has a rule: a new field can't be forgotten.

Each text of the schema is replaced in turn by a word that no rule would pass, and the manifests are looked at.
"""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from harness.candidates import language_spec, model_spec
from pydantic import AfterValidator, BaseModel

from delivery.kserve.canary import with_canary
from delivery.kserve.changes import with_shadow
from delivery.kserve.manifest import ServedVersion
from delivery.kserve.render import render
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.kubernetes_rules import TextRule

Place = tuple[str, ...]
KEY, VALUE, ENTRY = "[key]", "[value]", "[entry]"
WORD = "no such word!"
GATEWAY = {"name": "gateway", "namespace": "istio", "hostname": "demand.example.com"}
WHOLE: dict[str, Any] = {
    "resources": {"accelerator": {"type": "nvidia.com/gpu"}},
    "rollout": "surge",
    "node_selector": {"zone": "a"},
    "tolerations": [{"key": "pool", "value": "gpu"}],
    "image_pull_secrets": ["registry"],
    "secret_env": {"TOKEN": {"secret": "hub", "key": "token"}},
    "storage_secret": "store",
    "service_account_annotations": {"example.com/role": "reader"},
    "payload_log": {"url": "http://sink"},
    "gateway": GATEWAY,
}
KEDA = {"autoscaler": "keda", "prometheus": {"address": "http://prometheus", "query": "up", "target": 1}}
BATCHED = {"max_batch_size": 8, "max_latency_ms": 5}
LLM = {"runtime": "kserve-vllmserver", "model_format": "vLLM", "resource": "LLMInferenceService"}


def specs() -> list[ModelSpec]:
    """Specs that have every part that is rendered, in at least one of them."""
    table = model_spec(
        serving={**WHOLE, "scaling": KEDA, "protocol": "v1", "batching": BATCHED, "oci_repository": "oci://r/a"}
    )
    canary = model_spec(serving={**WHOLE, "canary": {"percent": 10}})
    gateway = {"gateway": {"name": "gateway", "namespace": "istio"}}
    llm = {name: value for name, value in WHOLE.items() if name != "payload_log"} | gateway
    training = {"adapter": "separate"}
    return [table, canary, language_spec(training=training, **llm, **LLM)]


def texts(
    annotation: Any, metadata: tuple[Any, ...] = (), place: Place = ()
) -> Iterator[tuple[Place, tuple[Any, ...]]]:
    """Place and rules of each text of a type."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from texts(inner[0], (*metadata, *annotation.__metadata__), place)
    elif origin in (Union, types.UnionType):
        for member in inner:
            yield from texts(member, metadata, place)
    elif origin is dict:
        yield from texts(inner[0], (), (*place, KEY))
        yield from texts(inner[1], (), (*place, VALUE))
    elif origin is tuple:
        yield from texts(inner[0], (), (*place, ENTRY))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from texts(field.annotation, tuple(field.metadata), (*place, name))
    elif annotation is str:
        yield place, metadata
    else:
        assert origin is Literal or not inner, f"{annotation} at {place} is of a kind that this walk does not know"


class Absent(Exception):
    """The value has no such part."""


def replaced(value: Any, place: Place) -> Any:
    """A copy of the value, unchecked, with the word at the place. Raises Absent."""
    if not place:
        return WORD
    step, rest = place[0], place[1:]
    match value:
        case BaseModel() if step in type(value).model_fields:
            return value.model_copy(update={step: replaced(getattr(value, step), rest)})
        case dict():
            if step == KEY:
                return {WORD: next(iter(value.values()), "x")}
            return {key: replaced(inner, rest) for key, inner in value.items()} or {"x": replaced(None, rest)}
        case tuple():
            return tuple(replaced(inner, rest) for inner in value) or (replaced(None, rest),)
        case _:
            raise Absent(place)


def comes_into_a_manifest(spec: ModelSpec) -> bool:
    """Whether the word is in a manifest of the spec, or keeps it from being made."""
    digest = "sha256:" + "a" * 64
    uri = f"{spec.serving.oci_repository or 'oci://r/a'}@{digest}"
    served = ServedVersion("3", uri, digest, digest, digest, "0123abc", digest)
    try:
        stable = render(spec, served, "2")
        contents = [stable.content]
        if spec.serving.resource == "InferenceService":
            contents.append(with_canary(spec, stable, served, 10).content)
            contents.append(with_shadow(spec, stable, served).content)
    except (InputError, AssertionError):
        return True
    return any(WORD.encode() in content for content in contents)


def has_a_rule(metadata: tuple[Any, ...]) -> bool:
    """Whether a field says what its text may be."""
    return any(isinstance(rule, TextRule | AfterValidator) or getattr(rule, "pattern", None) for rule in metadata)


TEXTS = dict(texts(ModelSpec))


def reached(place: Place) -> bool | None:
    """Whether the text at a place comes into a manifest; None where no spec has the place."""
    answers = []
    for spec in specs():
        try:
            answers.append(comes_into_a_manifest(replaced(spec, place)))
        except Absent:
            continue
    return any(answers) if answers else None


def test_the_walk_sees_what_is_known_to_come_into_a_manifest() -> None:
    for spec in specs():
        assert not comes_into_a_manifest(spec)
    for place in (
        ("serving", "node_selector", KEY),
        ("serving", "gateway", "hostname"),
        ("serving", "resources", "cpu"),
    ):
        assert reached(place)
    assert reached(("owner",)) is False


@pytest.mark.parametrize("place", [place for place in TEXTS if place[0] == "serving"], ids=".".join)
def test_the_specs_here_have_every_text_of_serving(place: Place) -> None:
    assert reached(place) is not None


@pytest.mark.parametrize("place", TEXTS, ids=".".join)
def test_a_text_that_comes_into_a_manifest_has_a_rule(place: Place) -> None:
    assert has_a_rule(TEXTS[place]) or not reached(place)
