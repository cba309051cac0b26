"""A certificate of our own for a server on loopback, and a service account's key for Google's library."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """A file with a key and the certificate that it signed for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(_pem(key) + made.public_bytes(serialization.Encoding.PEM))
    return file


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


class Google(ThreadingHTTPServer):
    """Google's token endpoint: it hands out identity tokens for signed requests. audiences: that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.audiences: list[str] = []
        self.tokens: list[str] = []
        self.lifetime_s = 3600
        self.status = 200

    def credentials(self, folder: Path) -> Path:
        """A service account's key file, which leads here."""
        account = {
            "type": "service_account",
            "client_email": "robot@project.iam.gserviceaccount.com",
            "private_key": _pem(self.key).decode(),
            "private_key_id": "1",
            "token_uri": f"http://127.0.0.1:{self.server_port}/token",
        }
        file = folder / "google.json"
        file.write_text(json.dumps(account))
        return file


class _Handler(BaseHTTPRequestHandler):
    server: Google  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        server = self.server
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = jwt.decode(
            form["assertion"][0], server.key.public_key(), ["RS256"], options={"verify_aud": False, "verify_iat": False}
        )
        server.audiences.append(asked["target_audience"])
        expires = int(time.time()) + server.lifetime_s
        claims = {"aud": asked["target_audience"], "exp": expires, "iat": 1, "n": len(server.audiences)}
        server.tokens.append(jwt.encode(claims, server.key, "RS256"))
        body = json.dumps(
            {"id_token": server.tokens[-1]} if server.status == 200 else {"error": "invalid_grant"}
        ).encode()
        self.send_response(server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_google() -> Iterator[Google]:
    server = Google()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
