"""Reading a manifest, with errors that name the field, the file and how to get it back."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from delivery.kserve.documents import Document, from_bytes, of_kind
from delivery.kserve.manifest import (
    LLM_KIND,
    PREFIX,
    SERVICE_KINDS,
    STABLE_URI,
    LiveModel,
    Manifest,
    ServedVersion,
    check_storage_uri,
    manifest_path,
    service_of,
    shadow_name,
)
from training.errors import InputError
from training.spec.serving_language import VLLMSERVER

_ANNOTATIONS = ("metadata", "annotations")
_MODEL = ("spec", "predictor", "model")
_MODEL_URI = (*_MODEL, "storageUri")
_LLM_URI = ("spec", "model", "uri")


def parse(content: bytes, name: str, commit: str) -> Manifest:
    """The manifest of the model ``name``; ``commit`` is where it was read.

    Raises InputError that names the field if it is broken or was edited by hand into something unusable.
    """
    try:
        documents = from_bytes(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(f"it is not YAML: {error}", name, commit) from error
    return Manifest(_Reader(documents, name, commit).live_model(), tuple(documents), content)


def manifest_of(documents: Iterable[Document], name: str, commit: str = "") -> Manifest:
    """The manifest that has these documents, not written yet; ``commit`` is what it was made from.

    Raises as :func:`parse` does.
    """
    kept = tuple(documents)
    return Manifest(_Reader(kept, name, commit).live_model(), kept)


class _Reader:
    """The documents of one file."""

    def __init__(self, documents: Iterable[Document], name: str, commit: str) -> None:
        self.documents, self.name, self.commit = tuple(documents), name, commit
        self.service = self._service()

    def live_model(self) -> LiveModel:
        canary = self._canary()
        is_llm = self.service["kind"] == LLM_KIND
        uri_at = (*_ANNOTATIONS, STABLE_URI) if self._is_knative_canary() else _LLM_URI if is_llm else _MODEL_URI
        previous = _at(self.service, *_ANNOTATIONS, f"{PREFIX}previous-version") or ""
        self._check_number(f"{PREFIX}previous-version", previous or "1")
        live = self._version(self.service, uri_at, percent=100 - canary.percent if canary else 100)
        return LiveModel(
            **vars(live),
            name=self.name,
            registered_model=self._text(self.service, *_ANNOTATIONS, f"{PREFIX}registered-model"),
            previous_version=previous,
            runtime=VLLMSERVER if is_llm else self._text(self.service, *_MODEL, "runtime"),
            protocol=_at(self.service, *_ANNOTATIONS, f"{PREFIX}protocol")
            or self._text(self.service, *_MODEL, "protocolVersion"),
            commit=self.commit,
            canary=canary,
            shadow=self._shadow(),
        )

    def _service(self) -> Document:
        """The service that is named like the model."""
        service = service_of(self.documents, self.name)
        if service is not None:
            return service
        others = [document for document in self.documents if document.get("kind") in SERVICE_KINDS]
        if not others:
            raise self._broken("it holds no InferenceService")
        other = self._text(others[0], "metadata", "name")
        raise self._broken(f"metadata.name is {other!r}, but the folder is {self.name!r}")

    def _is_knative_canary(self) -> bool:
        return bool(_at(self.service, "spec", "predictor", "canaryTrafficPercent"))

    def _canary(self) -> ServedVersion | None:
        """The canary, in the form of either deployment mode."""
        if self._is_knative_canary():
            predictor = self.service["spec"]["predictor"]
            return self._canary_version(predictor, predictor["canaryTrafficPercent"])
        listed = _at(self.service, "spec", "canary")
        if not listed:
            return None
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(_at(listed[0], "predictor"), dict):
            raise self._broken("spec.canary must hold one canary, with its predictor")
        return self._canary_version(listed[0]["predictor"], listed[0].get("trafficPercent"))

    def _canary_version(self, predictor: Document, percent: Any) -> ServedVersion:
        if type(percent) is not int or not 1 <= percent <= 99:
            raise self._broken(f"the canary's percent is {percent!r}, no whole number from 1 to 99")
        keys = ("canary-", "canary-")
        return self._version(predictor, ("model", "storageUri"), percent, at=("annotations",), prefixes=keys)

    def _shadow(self) -> ServedVersion | None:
        service = of_kind(self.documents, "InferenceService", shadow_name(self.name))
        return self._version(service, _MODEL_URI, percent=0) if service is not None else None

    def _version(
        self,
        part: Document,
        uri_at: tuple[str, ...],
        percent: int,
        at: tuple[str, ...] = _ANNOTATIONS,
        prefixes: tuple[str, str] = ("model-", ""),
    ) -> ServedVersion:
        """The version that a part of the file runs; prefixes: of the annotations about the model, and of the rest."""
        model, rest = (f"{PREFIX}{prefix}" for prefix in prefixes)
        return ServedVersion(
            version=self._check_number(f"{model}version", self._text(part, *at, f"{model}version")),
            storage_uri=self._uri(part, *uri_at),
            digest=self._text(part, *at, f"{model}digest"),
            data_fingerprint=self._text(part, *at, f"{rest}data-fingerprint"),
            verdict_digest=self._text(part, *at, f"{rest}verdict-digest"),
            code_version=_at(part, *at, f"{rest}code-version") or "",
            spec_digest=self._text(part, *at, f"{rest}spec-digest"),
            percent=percent,
        )

    def _check_number(self, key: str, version: Any) -> str:
        if not (isinstance(version, str) and re.fullmatch(r"[1-9][0-9]*", version)):
            raise self._broken(f"annotation {key} is {version!r}, no version number in quotes")
        return version

    def _uri(self, document: Document, *path: str) -> str:
        uri = self._text(document, *path)
        try:
            return check_storage_uri(uri)
        except InputError as error:
            raise self._broken(str(error)) from error

    def _text(self, document: Any, *path: str) -> str:
        """The non-empty text at a path of nested mappings."""
        value = _at(document, *path)
        if not isinstance(value, str) or not value:
            raise self._broken(f"{'.'.join(path)} is {value!r}, it must be text")
        return value

    def _broken(self, why: str) -> InputError:
        return _broken(why, self.name, self.commit)


def _broken(why: str, name: str, commit: str) -> InputError:
    where = f"{manifest_path(name)} at commit {commit[:12]} of the manifests repository"
    return InputError(f"{where} can't be used: {why}. Restore the rendered file with `ostinato rollback` or git revert")


def _at(document: Any, *path: str) -> Any:
    """The value at a path of nested mappings, None where there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
