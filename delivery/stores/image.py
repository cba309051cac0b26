"""A model folder as an OCI image, byte for byte the same for the same folder, and back.

The files lie under ``/models``, where KServe looks for them in each of its modes. The layer is a tar that is not
compressed: weights hardly shrink, and the bytes of a compressed one depend on the version of zlib.
https://github.com/opencontainers/image-spec
"""

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from delivery.stores.image_registry import ImageRepository
from training.errors import InputError, OstinatoError

ROOT = "models"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MODEL_DIGEST = "dev.ostinato.model-digest"
BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"
EPOCH = "1970-01-01T00:00:00Z"
_READABLE = {kind: kind for kind in (TAR, f"{TAR}+gzip")}
_READABLE |= {"application/vnd.docker.image.rootfs.diff.tar.gzip": f"{TAR}+gzip"}
"""OCI type of each type of layer that we and KServe can read."""
_STARTS_SOMETHING = ("Entrypoint", "Cmd", "Healthcheck")


@dataclass(frozen=True)
class Image:
    """What is pushed: the manifest's bytes, the config's, and the layer with the model."""

    manifest: bytes
    config: bytes
    layer: Path
    layer_digest: str

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


@dataclass(frozen=True)
class Base:
    """The image beneath the model: its own config, and its layers as the new manifest names them."""

    name: str
    digest: str
    config: Mapping[str, Any] = field(repr=False)
    layers: tuple[Mapping[str, Any], ...]


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def build_image(folder: Path, model_digest: str, scratch: Path, base: Base | None = None) -> Image:
    """The image of a model folder. Equal folders on equal bases give equal bytes.

    scratch: an existing folder with room for a copy of the model. The platform is the base's, else linux/amd64,
    which nobody looks at where the image only holds files.
    """
    layer = scratch / "layer.tar"
    write_layer(folder, layer)
    with layer.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    config = canonical(_config(digest, base))
    own = {"mediaType": TAR, "digest": digest, "size": layer.stat().st_size}
    annotations = {MODEL_DIGEST: model_digest}
    if base:
        annotations |= {BASE_NAME: base.name, BASE_DIGEST: base.digest}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [*(base.layers if base else ()), own],
        "annotations": annotations,
    }
    return Image(canonical(manifest), config, layer, digest)


def _config(layer: str, base: Base | None) -> dict[str, Any]:
    """The image's config. KServe gives arguments and no command, so what the base would start is left out."""
    beneath: Mapping[str, Any] = base.config if base else {}
    settings = {key: value for key, value in (beneath.get("config") or {}).items() if key not in _STARTS_SOMETHING}
    config: dict[str, Any] = {
        "created": EPOCH,
        "architecture": beneath.get("architecture", "amd64"),
        "os": beneath.get("os", "linux"),
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*beneath.get("rootfs", {}).get("diff_ids", []), layer]},
    }
    if not base or beneath.get("history"):
        own = {"created": EPOCH, "created_by": "ostinato: model files under /models"}
        config["history"] = [*beneath.get("history", []), own]
    return config | {key: beneath[key] for key in ("variant", "os.version") if key in beneath}


def write_layer(folder: Path, target: Path) -> None:
    """The folder's files under ``models/``, in the order of their names, without times, owners and own modes."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_entry(tarfile.DIRTYPE, ROOT))
        for path in sorted(folder.rglob("*"), key=lambda item: item.relative_to(folder).parts):
            name = f"{ROOT}/{path.relative_to(folder).as_posix()}"
            if path.is_dir():
                tar.addfile(_entry(tarfile.DIRTYPE, name))
            else:
                with path.open("rb") as file:
                    tar.addfile(_entry(tarfile.REGTYPE, name, path.stat().st_size), file)


def _entry(kind: bytes, name: str, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mode = kind, size, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return entry


def read_base(uri: str) -> Base:
    """The image ``oci://host/name@sha256:…`` that a model is put on.

    Raises InputError if it is not there or is an index of several platforms, whose digests the error lists.
    """
    name, _, digest = uri.partition("@")
    repository = ImageRepository(name)
    body = repository.manifest(digest)
    if body is None:
        raise InputError(f"serving.oci_base: {uri} does not exist in its registry")
    manifest = json.loads(body)
    if manifest.get("mediaType") in INDEXES or "manifests" in manifest:
        images = [image for image in manifest["manifests"] if image.get("platform", {}).get("os") != "unknown"]
        listed = ", ".join(f"{_platform(image.get('platform', {}))} {image['digest']}" for image in images)
        raise InputError(
            f"serving.oci_base: {uri} is an index of several platforms; name the one that serves: {listed}"
        )
    for layer in manifest["layers"]:
        if layer["mediaType"] not in _READABLE:
            raise InputError(
                f"serving.oci_base: {uri} has a layer of type {layer['mediaType']}, which KServe and we can't read; "
                "build it with gzip layers"
            )
    layers = tuple(
        {"mediaType": _READABLE[layer["mediaType"]], "digest": layer["digest"], "size": layer["size"]}
        for layer in manifest["layers"]
    )
    with tempfile.TemporaryDirectory(prefix="ostinato-image-") as scratch:
        config = Path(scratch, "config")
        repository.pull_blob(manifest["config"]["digest"], manifest["config"]["size"], config)
        return Base(name.removeprefix("oci://"), digest, json.loads(config.read_bytes()), layers)


def _platform(platform: Mapping[str, str]) -> str:
    return "/".join(platform[key] for key in ("os", "architecture", "variant") if platform.get(key))


def pull_model(uri: str, target: Path) -> None:
    """Copy the files under ``/models`` of the image ``oci://host/name@sha256:…`` into an existing folder.

    Manifest and layers are compared with their digests. Raises FileNotFoundError if the image is not there or has no
    such files, OstinatoError if it can't be read.
    """
    name, _, digest = uri.partition("@")
    repository = ImageRepository(name)
    body = repository.manifest(digest)
    if body is None:
        raise FileNotFoundError(uri)
    manifest = json.loads(body)
    if "layers" not in manifest:
        raise OstinatoError(f"{uri} is {manifest.get('mediaType', 'no image manifest')}, not the image of a model")
    count = 0
    with tempfile.TemporaryDirectory(prefix="ostinato-image-") as scratch:
        for layer in manifest["layers"]:
            blob = Path(scratch, "layer")
            repository.pull_blob(layer["digest"], layer["size"], blob)
            count += unpack(blob, target, f"layer {layer['digest']} of {name}")
            blob.unlink()
    if not count:
        raise FileNotFoundError(f"{uri} has no files under /{ROOT}")


def unpack(layer: Path, target: Path, where: str) -> int:
    """Copy a layer's files under ``models/`` into a folder, and return how many there were.

    Raises OstinatoError for anything but files and folders there, for a name that leads out of the folder, and for a
    layer that is no tar.
    """
    count = 0
    try:
        with tarfile.open(layer) as tar:
            for member in tar:
                parts = PurePosixPath(member.name.lstrip("/")).parts
                if len(parts) < 2 or parts[0] != ROOT or member.isdir():
                    continue
                if not member.isreg() or parts[-1].startswith(".wh."):
                    raise OstinatoError(f"{where} has {member.name!r}, which is no file; only files can be a model's")
                member.name = "/".join(parts[1:])
                tar.extract(member, target, filter="data")
                count += 1
    except tarfile.FilterError as error:
        raise OstinatoError(f"{where} can't be unpacked: {error}") from error
    except (tarfile.TarError, EOFError) as error:
        raise OstinatoError(
            f"{where} is no tar that can be read ({error}); push it uncompressed or with gzip"
        ) from error
    return count
