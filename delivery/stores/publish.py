"""A model folder pushed as an image; looked up before anything is sent."""

import json
import tempfile
from pathlib import Path

from delivery.effects import effect
from delivery.stores.image import BASE_DIGEST, MANIFEST, Base, build_image, read_base, sha256
from delivery.stores.image_registry import ImageRepository


def publish(folder: Path, model_digest: str, repository: str, base: str | None) -> str:
    """Push the folder to ``oci://host/name`` and return ``oci://host/name@sha256:…``; nothing is sent twice.

    base: ``oci://…@sha256:…`` that the model is put on. Raises InputError for a repository or base that can't be one,
    OstinatoError if the registry can't be used. The tag is made from the content, so it never moves; it is there
    since a registry may delete what no tag names.
    """
    target = ImageRepository(repository)
    beneath = read_base(base) if base else None
    with tempfile.TemporaryDirectory(prefix="ostinato-image-") as folder_name:
        scratch = Path(folder_name)
        image = build_image(folder, model_digest, scratch, beneath)
        tag = image.digest.replace("sha256:", "model-")
        if target.manifest(tag) != image.manifest:
            if beneath:
                _copy_layers(beneath, target, scratch)
            if target.push_blob(image.layer_digest, image.layer):
                effect("image layer pushed")
            target.push_blob(sha256(image.config), image.config)
            target.push_manifest(tag, image.manifest, MANIFEST)
            effect("image pushed")
    return f"{repository}@{image.digest}"


def _copy_layers(base: Base, target: ImageRepository, scratch: Path) -> None:
    """Copy the base's layers that the repository lacks."""
    source = ImageRepository(f"oci://{base.name}")
    for layer in base.layers:
        if not target.has_blob(layer["digest"]):
            blob = scratch / "base-layer"
            source.pull_blob(layer["digest"], layer["size"], blob)
            target.push_blob(layer["digest"], blob)


def is_published(storage_uri: str, repository: str, base: str | None) -> bool:
    """Whether a URI names an image that is there, in this repository and on this base."""
    name, _, digest = storage_uri.partition("@")
    if name != repository:
        return False
    body = ImageRepository(repository).manifest(digest)
    if body is None:
        return False
    return json.loads(body).get("annotations", {}).get(BASE_DIGEST, "") == (base or "").partition("@")[2]
