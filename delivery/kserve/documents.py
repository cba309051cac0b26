"""A manifest file: the YAML documents that make one model served, in one file, so that one commit changes them all."""

from typing import Any

import yaml

Document = dict[str, Any]
HEADER = (
    "# Rendered by Ostinato from spec.yaml and the registry. Change those; a hand edit is undone by the next release.\n"
)


def to_bytes(documents: list[Document]) -> bytes:
    """The file that holds the documents; equal documents give equal bytes."""
    texts = [yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=10_000) for one in documents]
    return (HEADER + "---\n".join(texts)).encode()


def from_bytes(content: bytes) -> list[Document]:
    """The documents of a file, in order. Raises yaml.YAMLError or UnicodeDecodeError for bytes that are not YAML."""
    return [one for one in yaml.safe_load_all(content.decode()) if isinstance(one, dict)]


def of_kind(documents: list[Document], kind: str, name: str) -> Document | None:
    """The document of the kind with that name, None without one."""
    for one in documents:
        metadata = one.get("metadata")
        if one.get("kind") == kind and isinstance(metadata, dict) and metadata.get("name") == name:
            return one
    return None
