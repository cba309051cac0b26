"""A manifest file: the YAML documents that make one model served, in one file, so that one commit changes them all."""

from collections.abc import Iterable
from typing import Any

import yaml

Document = dict[str, Any]
HEADER = (
    "# Rendered by Ostinato from spec.yaml and the registry. Change those; a hand edit is undone by the next release.\n"
)


def to_bytes(documents: Iterable[Document]) -> bytes:
    """The file that holds the documents; equal documents give equal bytes."""
    texts = [yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000) for document in documents]
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
