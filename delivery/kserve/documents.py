"""A manifest file: the YAML documents that make one model served, in one file, so that one commit changes them all."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

Document = dict[str, Any]
HEADER = (
    "# Rendered by Ostinato from spec.yaml and the registry. Change those; a hand edit is undone by the next release.\n"
)


_OTHERWISE_IN_GO = re.compile(
    r"[yYnN]|[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?0[bBoOxX][0-9a-fA-F_]+"
)
"""Texts that PyYAML writes without quotes and the reader of Kubernetes (sigs.k8s.io/yaml) takes for booleans or
numbers: a node's label `y`, a short commit `6e12345`."""


class KubernetesDumper(yaml.SafeDumper):
    """Writes a text so that PyYAML and Kubernetes both read it as one."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quotes = "'" if _OTHERWISE_IN_GO.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quotes)


KubernetesDumper.add_representer(str, _text)


def to_bytes(documents: Iterable[Document]) -> bytes:
    """The file that holds the documents; equal documents give equal bytes."""
    shape: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 10_000}
    texts = [yaml.dump(document, Dumper=KubernetesDumper, **shape) for document in documents]
    return (HEADER + "---\n".join(texts)).encode()


def from_bytes(content: bytes) -> list[Document]:
    """The documents of a file, in order. Raises yaml.YAMLError or UnicodeDecodeError for bytes that are not YAML."""
    return [document for document in yaml.safe_load_all(content.decode()) if isinstance(document, dict)]


def of_kind(documents: Iterable[Document], kind: str, name: str) -> Document | None:
    """The document of the kind with that name, None without one."""
    for document in documents:
        metadata = document.get("metadata")
        if document.get("kind") == kind and isinstance(metadata, dict) and metadata.get("name") == name:
            return document
    return None
