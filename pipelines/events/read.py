"""What an event says: a stored object, a registered version, a drift; each from its sender's form."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FINALIZED = "google.cloud.storage.object.v1.finalized"
"""Type of a CloudEvent: an object was written."""


class Refused(Exception):
    """The request is not taken: the status of its answer and a reason that holds no secret."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Ignored(Exception):
    """The event is understood and starts nothing: answered with 200, so that its sender does not send it again."""


@dataclass(frozen=True)
class StoredObject:
    """An object that was written to a bucket of Cloud Storage."""

    uri: str
    generation: str
    """Changes with each write of the object."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A model version that was created in MLflow's registry."""

    name: str
    version: str
    tags: Mapping[str, Any]


@dataclass(frozen=True)
class Drift:
    """The drift watch asks for a training."""

    model: str
    window: str
    version: str


def pubsub_object(body: bytes) -> StoredObject:
    """A notification of Cloud Storage in Pub/Sub's push envelope.

    Raises Refused (400) if it is no envelope, and Ignored for a message that names no written object.
    """
    message = _document(body).get("message")
    if not isinstance(message, dict) or not isinstance(message.get("attributes", {}), dict):
        raise Refused(400, "message: missing, or no mapping; this address takes Pub/Sub's push envelope, wrapped")
    attributes = message.get("attributes", {})
    kind = attributes.get("eventType")
    if kind != "OBJECT_FINALIZE":
        raise Ignored(f"message.attributes.eventType is {kind!r}, and only OBJECT_FINALIZE is new data")
    facts = [attributes.get(name) for name in ("bucketId", "objectId", "objectGeneration")]
    try:
        return _stored(*facts)
    except Refused as error:  # sent again, it would say the same
        raise Ignored(f"message.attributes: {error.reason}") from error


def eventarc_object(headers: Mapping[str, str], body: bytes) -> StoredObject:
    """A CloudEvent of Cloud Storage in binary mode. Raises Refused (400), and Ignored for another type."""
    if not headers.get("ce-id") or not headers.get("ce-type"):
        raise Refused(400, "ce-id or ce-type is missing; this address takes CloudEvents in binary mode")
    if headers["ce-type"] != FINALIZED:
        raise Ignored(f"ce-type is {headers['ce-type']!r}, and only {FINALIZED} is new data")
    document = _document(body)
    return _stored(document.get("bucket"), document.get("name"), document.get("generation"))


def mlflow_version(body: bytes) -> RegisteredVersion:
    """What a webhook of MLflow's registry says. Raises Refused (400), and Ignored for what is no new version."""
    document = _document(body)
    entity, action, data = document.get("entity"), document.get("action"), document.get("data")
    if not isinstance(entity, str) or not isinstance(action, str) or not isinstance(data, dict):
        raise Refused(400, "entity, action or data is missing; this address takes webhooks of MLflow's registry")
    if (entity, action) != ("model_version", "created"):
        raise Ignored(f"the event is {entity}.{action}, and only model_version.created starts a training")
    tags = data.get("tags") or {}
    if not isinstance(tags, dict):
        raise Refused(400, "data.tags is no mapping")
    return RegisteredVersion(_text(data, "name", "data."), _text(data, "version", "data."), tags)


def drift(body: bytes) -> Drift:
    """What the drift watch asks for. Raises Refused (400)."""
    document = _document(body)
    if document.get("kind") != "drift":
        raise Refused(400, f"kind is {document.get('kind')!r}; write drift")
    return Drift(*(_text(document, name) for name in ("model", "window", "version")))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is no JSON") from error
    if not isinstance(document, dict):
        raise Refused(400, "the body is no JSON object")
    return document


def _text(document: Mapping[str, Any], name: str, where: str = "") -> str:
    value = document.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        raise Refused(400, f"{where}{name} is missing, or no text of 1 to 500 characters")
    return value


def _stored(bucket: object, name: object, generation: object) -> StoredObject:
    if not isinstance(bucket, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        raise Refused(400, "the bucket is missing, or no bucket's name")
    if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= 1024:
        raise Refused(400, "the object's name is missing, or longer than 1024 bytes")
    if not re.fullmatch(r"\d{1,20}", str(generation), re.ASCII):
        raise Refused(400, "the object's generation is missing, or no number")
    return StoredObject(f"gs://{bucket}/{name}", str(generation))
