"""Real image registries on loopback: Debian's docker-registry, open, with a password, or with a token server."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from harness.loopback import LoopbackServer, Reply, Request
from harness.servers import START_S, free_port, wait_until_healthy

USER, PASSWORD = "ostinato", "s3cret"
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HTPASSWD = f"{USER}:$2b$04$U78lWUxDRsrdT9HPG9kExO88KigNc.qPr.Hx8bTe5DYxb4od0BFu2\n"
"""The password as bcrypt."""
TOOLS = Path(sys.executable).parents[1] / "tools" / "usr" / "bin"
"""Where `make tools` puts it."""


def registry_binary() -> str:
    """Path of docker-registry; the test is skipped where there is none."""
    found = shutil.which("docker-registry") or shutil.which("docker-registry", path=str(TOOLS))
    if not found:
        pytest.skip("docker-registry is neither on PATH nor in .venv/tools; `make tools` fetches it from Debian")
    return found


@dataclass(frozen=True)
class ImageRegistry:
    """A running registry: where it is, and the folder in which it keeps its blobs."""

    host: str
    root: Path

    def repository(self, name: str = "models/bike-demand") -> str:
        return f"oci://{self.host}/{name}"

    def blob(self, digest: str) -> Path:
        """The file that holds a blob."""
        hexes = digest.removeprefix("sha256:")
        return self.root / "docker/registry/v2/blobs/sha256" / hexes[:2] / hexes / "data"

    def tags(self, name: str = "models/bike-demand") -> list[str]:
        tags = self.root / f"docker/registry/v2/repositories/{name}/_manifests/tags"
        return sorted(path.name for path in tags.iterdir()) if tags.is_dir() else []

    def images(self, name: str = "models/bike-demand") -> list[str]:
        """Digests of all images that were ever pushed to a repository."""
        folder = self.root / f"docker/registry/v2/repositories/{name}/_manifests/revisions/sha256"
        return sorted(f"sha256:{path.name}" for path in folder.iterdir()) if folder.is_dir() else []


@contextmanager
def running_registry(home: Path, host: str = "127.0.0.1", **sections: Any) -> Iterator[ImageRegistry]:
    """Start docker-registry with its files in the folder. sections: of its configuration, such as ``auth``."""
    binary, address = registry_binary(), f"{host}:{free_port()}"
    root = home / "images"
    root.mkdir(parents=True)
    http = {"addr": address, **sections.pop("http", {})}
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root)}},
        "http": http,
        **sections,
    }
    (home / "registry.yml").write_text(yaml.safe_dump(configuration))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
    with (home / "registry.log").open("wb") as log:
        command = [binary, "serve", str(home / "registry.yml")]
        server = subprocess.Popen(command, env=kept, stdout=log, stderr=log)
        try:
            # Over TLS a plain request is answered too: 400.
            wait_until_healthy(f"http://{address}/v2/", server, home / "registry.log")
            yield ImageRegistry(address, root)
        finally:
            server.terminate()
            server.wait(START_S)


@pytest.fixture
def image_registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    """A registry that asks nobody who they are."""
    with running_registry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def password_registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    """A registry that wants a user and a password."""
    file = tmp_path / "htpasswd"
    file.write_text(HTPASSWD)
    with running_registry(tmp_path / "registry", auth={"htpasswd": {"realm": "images", "path": str(file)}}) as registry:
        yield registry


class TokenServer(LoopbackServer):
    """Hands out the tokens that a registry trusts (https://distribution.github.io/distribution/spec/auth/jwt).

    actions: what it grants at most. asked: scopes, as they came.
    """

    prefix = "/token"

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.key, certificate = self_signed("tokens")
        self.signer = base64.b64encode(certificate_der(certificate)).decode()
        home.mkdir(exist_ok=True)
        self.certificate = home / "tokens.pem"
        self.certificate.write_bytes(certificate_pem(certificate))
        self.actions: tuple[str, ...] = ("pull", "push")
        self.asked: list[str] = []

    def answer(self, request: Request) -> Reply:
        if request.method == "GET":
            known = request.headers.get("Authorization") == f"Basic {LOGIN}"
            return self._grant(parse_qs(urlsplit(request.target).query), "token") if known else Reply(401)
        form = parse_qs(request.body.decode())
        known = form.get("refresh_token") == [PASSWORD] and form.get("grant_type") == ["refresh_token"]
        return self._grant(form, "access_token") if known else Reply(401)

    def _grant(self, asked: dict[str, list[str]], field: str) -> Reply:
        import jwt

        access = []
        for scope in asked.get("scope", []):
            self.asked.append(scope)
            kind, name, actions = scope.split(":")
            granted = [action for action in actions.split(",") if action in self.actions]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {"iss": "ostinato-tests", "sub": USER, "aud": asked["service"][0], "access": access, "jti": str(now)}
        claims |= {"exp": now + 300, "nbf": now - 60, "iat": now}
        return Reply(200, {field: jwt.encode(claims, self.key, algorithm="ES256", headers={"x5c": [self.signer]})})


def self_signed(name: str, address: str = "127.0.0.1") -> tuple[Any, Any]:
    """A private key and a certificate that it signed itself, for an IP address."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def certificate_pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def certificate_der(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_login(folder: Path, host: str, **entry: str) -> Path:
    """A docker config file as `docker login` leaves it; returns its folder, for DOCKER_CONFIG."""
    folder.mkdir(exist_ok=True)
    entry = entry or {"auth": LOGIN}
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    return folder
