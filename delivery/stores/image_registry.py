"""An image repository over the OCI distribution protocol: a manifest and blobs, in and out, every digest compared.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. Plain HTTP requests on purpose: `oras` (0.2.43)
knows neither DOCKER_CONFIG nor REGISTRY_AUTH_FILE, and does not compare what it downloads with its digest.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from delivery.addresses import is_loopback, reason
from delivery.stores.image_session import ImageSession
from training.errors import InputError

CHUNK = 1 << 20
"""Bytes that are held at once."""
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_DAMAGED = "Its store or a proxy on the way is damaged"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_URI = re.compile(rf"oci://([^\s@/]+)/({_COMPONENT}(?:/{_COMPONENT})*)")


class ImageRepository:
    """One repository, ``oci://host[:port]/name``. Plain HTTP for this machine only, else HTTPS.

    Raises InputError for a name that no registry takes. Every method raises OstinatoError with the reason and the fix
    if the registry can't be used.
    """

    def __init__(self, uri: str) -> None:
        match = _URI.fullmatch(uri)
        if not match:
            raise InputError(
                f"image repository {uri!r} is refused: write oci://host/name, the name in lower-case letters, digits "
                "and . _ - between them, parts separated by /"
            )
        self.session = ImageSession(*match.groups())
        self.url = self.session.url

    def manifest(self, reference: str) -> bytes | None:
        """The manifest with a tag or a digest, None if there is none. A digest is compared with the bytes."""
        headers = {"Accept": ", ".join(MANIFESTS)}
        answer = self.session.ask("GET", f"{self.url}/manifests/{reference}", (200, 404), headers=headers)
        if answer.status_code == 404:
            return None
        if reference.startswith("sha256:"):
            self._compare(f"manifest {reference}", reference, hashlib.sha256(answer.content).hexdigest())
        return answer.content

    def has_blob(self, digest: str) -> bool:
        return self.session.ask("HEAD", f"{self.url}/blobs/{digest}", (200, 404)).status_code == 200

    def pull_blob(self, digest: str, size: int, target: Path) -> None:
        """Copy a blob of ``size`` bytes into the file ``target``; it is what was asked for, or an error."""
        import requests

        content, length = hashlib.sha256(), 0
        url = f"{self.url}/blobs/{digest}"
        with self.session.ask("GET", url, (200,), stream=True) as answer, target.open("wb") as file:
            try:
                for chunk in answer.iter_content(CHUNK):
                    length += len(chunk)
                    if length > size:
                        break
                    content.update(chunk)
                    file.write(chunk)
            except requests.exceptions.RequestException as error:
                raise self.session.error(
                    f"broke off while sending blob {digest}: {reason(error)}", "Run again"
                ) from error
        if length != size:
            sent = f"{length} bytes" if length < size else f"more than {size} bytes"
            raise self.session.error(f"sent {sent} of blob {digest}, its manifest says {size}", _DAMAGED)
        self._compare(f"blob {digest}", digest, content.hexdigest())

    def push_blob(self, digest: str, content: bytes | Path) -> bool:
        """Upload a blob unless it is there; whether it was uploaded."""
        if self.has_blob(digest):
            return False
        opened = self.session.ask("POST", f"{self.url}/blobs/uploads/", (202,))
        place = urljoin(opened.url, opened.headers["Location"])
        if urlsplit(place).scheme == "http" and not is_loopback(urlsplit(place).netloc):
            raise self.session.error(
                "wants the upload over plain http",
                "Behind a proxy it must be told that it is https (X-Forwarded-Proto, or http.relativeurls)",
            )
        place += f"{'&' if urlsplit(place).query else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        self.session.ask("PUT", place, (201,), body=content, headers=headers)
        return True

    def push_manifest(self, tag: str, content: bytes, media_type: str) -> None:
        """Put a manifest under a tag. Its config and layers must be there."""
        url = f"{self.url}/manifests/{tag}"
        answer = self.session.ask("PUT", url, (201,), body=content, headers={"Content-Type": media_type})
        stored = answer.headers.get("Docker-Content-Digest", "")
        if stored:
            self._compare(f"manifest {tag}", stored, hashlib.sha256(content).hexdigest())

    def _compare(self, what: str, expected: str, actual: str) -> None:
        if expected != f"sha256:{actual}":
            raise self.session.error(f"and we differ about {what}: the bytes have digest sha256:{actual}", _DAMAGED)
