"""Which models an event trains, and the key by which the same event is known again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from delivery.registry.versions import DIGEST_TAG
from delivery.stores.sources import CONVERSATIONS, TABLES
from pipelines.events.read import Drift, Ignored, Refused, RegisteredVersion, StoredObject


@dataclass(frozen=True)
class RequestedRun:
    """A run that an event asks for."""

    model: str
    key: str
    """Made from what the event is about, so that one sent twice, or in two ways, asks for the same run."""
    trigger: str


@dataclass(frozen=True)
class Models:
    """The models of a workspace, and what of the world concerns them."""

    sources: Mapping[str, str]
    """Model -> URI of its data; every model is here."""
    registered: Mapping[str, str]
    """Registered model in MLflow -> the model that starts from it."""
    own: tuple[str, ...] = ()
    """URIs under which runs write; what is written there is no new data."""


def of_object(models: Models, stored: StoredObject) -> list[RequestedRun]:
    """The models whose data the object is part of. Raises Ignored if there is none."""
    if any(_under(stored.uri, root) for root in models.own):
        raise Ignored("the object was written by a run")
    key = f"object {stored.uri} {stored.generation}"
    requests = [
        RequestedRun(name, key, "data") for name, source in models.sources.items() if concerns(source, stored.uri)
    ]
    if not requests:
        raise Ignored("the object is of no model's data")
    return requests


def of_version(models: Models, version: RegisteredVersion) -> list[RequestedRun]:
    """The model that starts from the registered one. Raises Ignored if there is none, or if a run registered it."""
    if DIGEST_TAG in version.tags:
        raise Ignored("the version was registered by a run")
    if version.name not in models.registered:
        raise Ignored("the registered model is not in events.models")
    return [RequestedRun(models.registered[version.name], f"registered {version.name} {version.version}", "registry")]


def of_drift(models: Models, seen: Drift) -> list[RequestedRun]:
    """The model that drifted. Raises Refused (404) for an unknown one."""
    if seen.model not in models.sources:
        raise Refused(404, "the model is not known here")
    return [RequestedRun(seen.model, f"drift {seen.window} {seen.version}", "drift")]


def concerns(source: str, uri: str) -> bool:
    """Whether an object is read by a source: it is the source, in its folder, or matched by its pattern."""
    if not source.startswith("gs://"):
        return False
    if source == uri:
        return True
    if any(sign in source for sign in "*?["):
        return re.fullmatch(_pattern(source), uri) is not None
    root = source.rstrip("/") + "/"
    parts = uri.removeprefix(root).split("/")
    hidden = any(part.startswith((".", "_")) for part in parts)
    return uri.startswith(root) and not hidden and parts[-1].endswith((*TABLES, *CONVERSATIONS))


def _pattern(glob: str) -> str:
    """A glob as a regular expression: `**` goes into folders, `*` and `?` do not."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob)
    return "".join(
        signs.get(part) or (part.replace("[!", "[^") if re.fullmatch(r"\[[^\]]+\]", part) else re.escape(part))
        for part in parts
    )


def _under(uri: str, root: str) -> bool:
    return bool(root) and uri.startswith(root.rstrip("/") + "/")
