"""A spec's texts as arguments of a pipeline's steps: they arrive byte for byte, or the step stops."""

import base64
import hashlib
import json
import lzma
from collections.abc import Sequence

from training.errors import OstinatoError

LONGEST = 96 * 1024
"""Bytes of one argument within a task's JSON. Argo Workflows hands arguments above 128 KiB over as a file, which the
driver of Kubeflow Pipelines 2.17.0 can't read; the rest is left for the task's other arguments."""
_PLAIN = 32 * 1024
"""Characters up to which a text goes as it is, for people to read in a UI; longer ones are compressed."""
_PACKED = "xz+base64:"
_LONGEST_TEXT = 64 * 1024 * 1024
"""Bytes that a compressed argument may have in the end."""


def pack(text: str) -> str:
    """The argument for a text; equal texts give equal arguments."""
    if len(text) <= _PLAIN:
        return text
    return _PACKED + base64.b64encode(lzma.compress(text.encode(), check=lzma.CHECK_CRC32)).decode()


def argument_size(text: str) -> int:
    """Bytes that a text takes as an argument, within the JSON of a task."""
    return len(json.dumps(pack(text)))


def texts_digest(texts: Sequence[str]) -> str:
    """``sha256:`` over texts in their order."""
    return "sha256:" + hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


def unpack(arguments: Sequence[str], promised: str) -> list[str]:
    """The texts of a step's arguments. promised: :func:`texts_digest` of the texts that were compiled.

    Raises OstinatoError if they are others.
    """
    texts = [_unpacked(argument) for argument in arguments]
    if (received := texts_digest(texts)) != promised:
        raise OstinatoError(
            f"the spec that this step got is not the one that was compiled: its texts have the digest {received}, and "
            f"{promised} was promised; what runs the pipeline changed a text, or the package was edited: submit again"
        )
    return texts


def _unpacked(argument: str) -> str:
    if not argument.startswith(_PACKED):
        return argument
    try:
        unpacker = lzma.LZMADecompressor(memlimit=2 * _LONGEST_TEXT)
        content = unpacker.decompress(base64.b64decode(argument.removeprefix(_PACKED), validate=True), _LONGEST_TEXT)
        return content.decode()
    except (ValueError, lzma.LZMAError) as error:
        raise OstinatoError(f"the spec that this step got can't be read: {error}; submit again") from error
